"""Recordings of the live exchange through the builder: its rows against an independent book's figures."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
import recordings
from harm import HARMED, HOWS, Harm, damaged
from rebuilt import Rebuilt, tables
from recordings import Line

from kalshi_trio.protocol.builder import Builder

pytestmark = recordings.needed

COUNTS = ("snapshots", "deltas", "deltas_unanchored", "deltas_while_invalid_after_gap", "trades", "ticker_msgs")
WHOLE = recordings.NAMES if os.environ.get("KALSHI_FULL") else recordings.NAMES[:-1]
"""The longest (600,000 frames) is read to its end only if asked for."""


def built(some: list[Line], seed: int) -> tuple[Rebuilt, Builder]:
    """The rows of a session that brought these lines."""
    builder = Builder("s")
    rows = tables(builder, recordings.journal(some, seed))
    return Rebuilt(rows, max(line.connection for line in some)), builder


def assert_counts(rebuilt: Rebuilt, builder: Builder, known: dict[str, Any]) -> None:
    """By type, by market, and of every sid what went wrong in its run."""
    assert builder.state.tally.by_type == {kind: many for kind, many in known["frames_by_type"].items() if many}
    assert {name: {what: market.counts[what] for what in COUNTS} for name, market in rebuilt.markets.items()} == {
        name: {what: market[what] for what in COUNTS} for name, market in known["markets"].items()
    }
    assert_runs(rebuilt.runs, known["sequences"], builder.state.gaps_repeated)


def assert_runs(listed: dict[str, Counter[str]], known: dict[str, Any], repeated: int) -> None:
    """What went wrong in each run is a gap, or counted in one that is open: no run that went wrong has none."""
    words = ("gap_count", "dups", "regressions")
    for name, run in known.items():
        assert all(listed[name][word] <= run[word] for word in words)
        assert any(listed[name][word] for word in words) == any(run[word] for word in words)
    went_wrong = sum(run[word] for run in known.values() for word in words)
    assert went_wrong - repeated <= sum(listed[name][word] for name in known for word in words) <= went_wrong


def assert_books(rebuilt: Rebuilt, known: dict[str, Any], name: str) -> None:
    """One market's last book, as it was before its close too, and its best prices."""
    final = known["markets"][name]["final"]
    market = rebuilt.markets[name]
    assert (len(market.yes), len(market.no)) == (final["yes_levels"], final["no_levels"])
    assert rebuilt.digest(name, before_close=True) == known["markets"][name]["last_nonempty_book_digest"]
    if final["anchored"]:
        bid, bid_size = (_units(text, places) for text, places in zip(final["best_yes_bid"], (4, 2), strict=True))
        ask, ask_size = _units(final["implied_yes_ask"], 4), _units(final["best_no_bid"][1], 2)
        assert rebuilt.tops[name] == [bid, bid_size, ask, ask_size, True]


def _units(text: str | None, places: int) -> int | None:
    if text is None:
        return None
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(places, "0"))


@pytest.mark.parametrize("name", WHOLE)
def test_a_recording_makes_the_books_that_an_independent_book_found(name: str) -> None:
    known = recordings.figures(name)
    rebuilt, builder = built(recordings.lines(name), seed=1)

    assert_counts(rebuilt, builder, known)
    assert rebuilt.bests == known["bbo_digest"]
    assert rebuilt.digest() == known["book_digest"]
    assert rebuilt.digest(before_close=True) == known["last_nonempty_book_digest"]
    assert known["totals"]["negative_level_events"] == rebuilt.causes["impossible_book"] == 0
    for market in known["markets"]:
        assert_books(rebuilt, known, market)


def test_a_recording_that_begins_in_mid_stream_was_joined_late() -> None:
    some = recordings.lines(recordings.NAMES[-1], 30_000)
    known = recordings.judged(some)
    rebuilt, builder = built(some, seed=1)

    assert_counts(rebuilt, builder, known)
    assert rebuilt.causes == {"joined_late": 1, "no_book": 1}
    assert known["sequences"]["conn1/sid1"]["first_seq"] == 5
    assert rebuilt.bests == known["bbo_digest"]
    assert rebuilt.digest() == known["book_digest"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("harm", HARMED, ids=lambda harm: f"{harm.name[:6]}-{harm.kinds[0]}{len(harm.kinds)}")
def test_damage_is_found_and_no_book_is_wrong(harm: Harm, how: str) -> None:
    compared = 0
    for seed in range(3):
        some = damaged(harm, how, seed)
        known = recordings.judged(some)
        rebuilt, builder = built(some, seed)

        assert_counts(rebuilt, builder, known)
        assert sum(run.total() for run in rebuilt.runs.values()) > 0
        for market, found in known["markets"].items():
            if found["final"]["valid_strict"]:
                compared += 1
                assert_books(rebuilt, known, market)
    assert compared or harm.name.startswith("mixed") or len(harm.kinds) == 2
