"""What is said of a recording, held against what the exchange meant to send: for each of its faults, and for each death.

The short form of `scripts/gap_truth.py`, which does many seeds.
"""

from __future__ import annotations

from typing import Any

import pytest
from truth import BOUNDS, UNTELLABLE, live

from kalshi_trio.exchange.faults import NAMES
from kalshi_trio.protocol.gaps import Gaps

MARKETS_ASKED = 4
"""Each is asked for at most once a second."""
LOSING = ("drop", "malformed", "not_utf8", "error_10", "error_25", "unsubscribed", "cut", "close_1001", "deaf", "kill")


def test_every_fault_has_a_bound_and_a_reason() -> None:
    assert set(NAMES) < set(BOUNDS)
    assert all(bound.why for bound in BOUNDS.values())


@pytest.mark.parametrize("fault", BOUNDS)
def test_no_word_is_kinder_than_the_truth(fault: str) -> None:
    found = live(fault, seed=7)

    assert found.meant > 500
    assert found.lost or fault not in LOSING
    assert not found.lost or not BOUNDS[fault].harmless
    if fault not in UNTELLABLE:
        assert (found.outside, found.wrong, found.kinder) == (0, 0, []), found
    assert (found.beyond_s, found.harsher, found.done) == (0.0, [], 1), found


@pytest.mark.parametrize("fault", ["deaf", "kill"])
def test_gaps_that_begin_when_they_are_noticed_are_found_out(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Gaps.open

    def noticed(self: Gaps, cause: str, channel: str | None, markets: Any, _at: int, *more: Any, **named: Any) -> None:
        right(self, cause, channel, markets, self._out.ts_recv, *more, **named)

    monkeypatch.setattr(Gaps, "open", noticed)

    assert live(fault, seed=7).outside > 0


def test_no_book_is_believed_where_half_of_them_look_well_though_turned() -> None:
    """Markets below half a dollar are not crossed by NO prices that are YES prices."""
    found = live("yes_flip", seed=201)

    assert (found.outside, found.wrong, found.kinder) == (0, 0, []), found


def test_a_bit_that_nobody_can_know_of_is_found_out() -> None:
    found = live("flip", seed=1)

    assert (found.lost, found.outside) == (1, 1)
    assert found.wrong > 100
    assert found.kinder


REPEATED = (
    *("drop", "repeat", "swap", "malformed", "renamed_sides", "seq_restart", "seq_back"),
    *("error_10", "unsubscribed", "cut"),
)


@pytest.mark.parametrize("fault", REPEATED)
def test_a_fault_that_repeats_is_bounded_and_the_words_stay_true(fault: str) -> None:
    """Every thirtieth frame, a minute long."""
    found = live(fault, seed=7, every=30)

    assert found.done >= 3
    assert (found.outside, found.wrong, found.kinder) == (0, 0, []), found
    assert found.asks <= 60 * MARKETS_ASKED, found
    assert found.warnings <= 60, found
    assert found.rows <= 5 * found.done + 10, found
