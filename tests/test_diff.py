"""`diff`: two recordings of the same markets, made by recorders that heard them differently."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from past import MARKETS, START_US, Ear, generated, heard, imported, recorded, settings_in
from recordings import NAMES, needed
from test_replay_kill import command

from kalshi_trio.exchange.desk import CHANNELS
from kalshi_trio.exchange.market import Change
from kalshi_trio.history.diff.diffing import diff
from kalshi_trio.history.diff.found import Difference, Tally
from kalshi_trio.history.diff.view import sentences
from kalshi_trio.observe.terminal import Terminal

OTHER = Ear(channels=CHANNELS[::-1], late_ns=90_000_000, connection=4)


async def compared(folder: Path, *files: Path, **more: object) -> Difference:
    names = [(await imported(folder, file, **more))[1].session for file in files]
    return await diff(settings_in(folder), Terminal(), *names)


def told(file: Path, market: str, start: int = 0) -> Counter[tuple[Any, ...]]:
    """The market's deltas in a recording, by what counts."""
    frames = (json.loads(line).get("frame") for line in file.read_text().splitlines())
    msgs = [frame["msg"] for frame in frames if frame and frame["type"] == "orderbook_delta"]
    names = ("side", "price_dollars", "delta_fp", "ts")
    return Counter(
        tuple(msg[name] for name in names) for msg in msgs if msg["market_ticker"] == market and msg["ts_ms"] >= start
    )


async def test_numbering_connection_and_received_times_make_no_difference(tmp_path: Path) -> None:
    a, b = heard(tmp_path, Ear(), OTHER)
    found = await compared(tmp_path, a, b)

    assert found.same
    assert list(sentences(found)) == ["The same."]
    for market in MARKETS:
        one = found.markets[market]
        assert one.deltas == Tally(both=told(a, market).total())
        assert one.trades.both > 0
        assert one.books.compared > 100
        assert one.valid_percent["a"] > 99


async def test_who_came_later_missed_nothing_of_the_time_before(tmp_path: Path) -> None:
    a, b = heard(tmp_path, Ear(), OTHER._replace(since=20.0))
    found = await compared(tmp_path, a, b)

    assert found.same
    assert found.start is not None
    assert found.start.startswith("2026-11-24T18:00:2")
    outside = sum(one.outside_a for one in found.markets.values())
    assert outside == sum((told(a, market) - told(b, market)).total() for market in MARKETS) > 100
    assert sum(one.outside_b for one in found.markets.values()) == 0


async def test_a_hole_that_is_known_is_said_with_what_was_missed(tmp_path: Path) -> None:
    whole = generated(tmp_path / "a.jsonl")
    holed = generated(tmp_path / "b.jsonl", lost=range(500, 540))
    found = await compared(tmp_path, whole, holed)

    missed = {market: told(whole, market) - told(holed, market) for market in MARKETS}
    assert not found.same
    assert {market: one.deltas.only_a for market, one in found.markets.items()} == {
        market: some.total() for market, some in missed.items()
    }
    assert sum(one.deltas.only_b + one.books.different for one in found.markets.values()) == 0
    assert found.b.gaps[0].cause == "sequence"
    assert found.a.gaps == []
    for market, one in found.markets.items():
        times = sorted(ts for _, _, _, ts in missed[market])
        if times:
            (run,) = one.runs
            assert (run.by, run.changes) == ("b", missed[market].total())
            assert (run.cause, run.other_whole) == ("sequence", True)
            assert [float(text[17:-1]) for text in (run.start, run.end)] == [
                float(t[17:-1]) for t in (times[0], times[-1])
            ]
    lines = list(sentences(found))
    assert any(line.startswith(f"B missed {found.markets[MARKETS[1]].runs[0].changes} deltas of") for line in lines)
    assert any(line.endswith("while A was whole (B knows: sequence).") for line in lines)
    assert lines[-1] == "They differ."


async def test_a_loss_that_nobody_noticed_is_said_and_shows_in_the_books(tmp_path: Path) -> None:
    def missed_by_a(event: object) -> bool:
        """Some decreases, so that no level of its book is ever below zero."""
        second = isinstance(event, Change) and (event.ts_us - START_US) / 1e6
        return isinstance(event, Change) and event.ticker == MARKETS[2] and event.delta_e2 < 0 and 30 < second < 33

    a, b = heard(tmp_path, Ear(misses=missed_by_a), OTHER, closes=False)
    found = await compared(tmp_path, a, b)
    one = found.markets[MARKETS[2]]

    missed = told(b, MARKETS[2]) - told(a, MARKETS[2])
    assert missed
    assert one.deltas.only_b == missed.total()
    assert {(run.by, run.cause, run.other_whole) for run in one.runs} == {("a", "impossible_book", True)}
    assert sum(run.changes for run in one.runs) + one.more_runs == missed.total()
    assert one.books.different
    assert sum(stretch.instants for stretch in one.books.stretches) == one.books.different
    assert next(sentences(found)).endswith("while B was whole (A knows: impossible_book).")
    assert any("both said to be whole" in line for line in sentences(found))
    assert found.markets[MARKETS[0]].same
    assert found.markets[MARKETS[1]].same


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_missing_on_either_side_is_counted_exactly(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311  test data
    files = [
        generated(tmp_path / f"{name}.jsonl", seed=seed, lost=chance.sample(range(100, 2_000), 30)) for name in "ab"
    ]
    found = await compared(tmp_path, *files, journal_segment_records=1_000)

    for market, one in found.markets.items():
        a, b = (told(file, market) for file in files)
        assert one.deltas == Tally((a & b).total(), (a - b).total(), (b - a).total())
        assert one.outside_a == one.outside_b == one.books.different == 0


async def test_markets_that_only_one_recorded_are_named_and_not_compared(tmp_path: Path) -> None:
    whole = generated(tmp_path / "a.jsonl")
    part = tmp_path / "b.jsonl"
    lines = whole.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(line for line in lines if MARKETS[0].encode() not in line or b"lifecycle" in line))
    found = await compared(tmp_path, whole, part)

    assert (found.a.only_here, found.b.only_here) == ([MARKETS[0]], [])
    assert sorted(found.markets) == sorted(MARKETS[1:])
    assert next(sentences(found)) == f"Only A recorded {MARKETS[0]}."


async def test_sessions_without_a_common_time_are_not_the_same(tmp_path: Path) -> None:
    a, b = heard(tmp_path, Ear(), OTHER._replace(since=40.0))
    early = tmp_path / "early.jsonl"
    early.write_bytes(b"".join(a.read_bytes().splitlines(keepends=True)[:400]))
    found = await compared(tmp_path, early, b)

    assert (found.same, found.start) == (False, None)
    assert sum(one.deltas.both for one in found.markets.values()) == 0


@needed
@pytest.mark.parametrize("name", NAMES)
async def test_each_recording_is_the_same_as_itself(name: str, tmp_path: Path) -> None:
    file = recorded(tmp_path / name.removesuffix(".gz"), name)
    found = await compared(tmp_path, file, file)

    assert found.same
    assert sum(one.deltas.both for one in found.markets.values()) > 0


async def test_the_commands_exit_code_says_whether_they_are_the_same(tmp_path: Path) -> None:
    whole = generated(tmp_path / "a.jsonl", seconds=10)
    holed = generated(tmp_path / "b.jsonl", seconds=10, lost=range(150, 170))
    a, b = [(await imported(tmp_path, file))[1].name for file in (whole, holed)]
    with command(tmp_path, "diff", a, a) as same, command(tmp_path, "diff", a, b, "--json") as other:
        said, found = same.communicate(timeout=60)[0], json.loads(other.communicate(timeout=60)[0])

    assert (same.returncode, other.returncode) == (0, 5)
    assert said.splitlines()[-1] == "The same."
    assert (found["same"], found["b"]["name"], found["b"]["verdict"]) == (False, b, "known gaps")
