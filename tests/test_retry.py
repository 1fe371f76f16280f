"""Waits between tries."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.protocol.retry import waits


def test_waits_double_up_to_the_most() -> None:
    assert list(islice(waits(lambda: 1.0), 7)) == [1, 2, 4, 8, 16, 30, 30]


def test_jitter_takes_away_half_at_most() -> None:
    assert list(islice(waits(lambda: 0.0), 7)) == [0.5, 1, 2, 4, 8, 15, 15]


@given(st.floats(0, 1, exclude_max=True), st.floats(0.1, 100), st.floats(0.1, 100))
def test_no_wait_is_ever_longer_than_the_most(chance: float, first: float, most: float) -> None:
    assert max(islice(waits(lambda: chance, first, most), 20)) <= most


def test_random_numbers_are_asked_for_anew() -> None:
    chances = iter([0.0, 1.0, 0.5])

    assert pytest.approx(list(islice(waits(lambda: next(chances)), 3))) == [0.5, 2, 3]
