"""Percentiles in fixed memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.observe.histogram import Histogram

NANOSECONDS = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=200)


@given(NANOSECONDS, st.floats(0, 1))
def test_any_percentile_is_right_to_two_percent(values: list[int], share: float) -> None:
    histogram = Histogram()
    histogram.extend(np.array(values, np.int64))

    (found,) = histogram.percentiles(share)

    true = sorted(values)[max(math.ceil(share * len(values)), 1) - 1]
    assert found == pytest.approx(true, rel=0.02, abs=1)


@given(NANOSECONDS)
def test_one_by_one_and_all_at_once_are_the_same(values: list[int]) -> None:
    single, bulk = Histogram(), Histogram()
    for value in values:
        single.add(value)
    bulk.extend(np.array(values, np.int64))

    assert single.percentiles(0, 0.1, 0.5, 0.9, 1) == bulk.percentiles(0, 0.1, 0.5, 0.9, 1)


def test_a_weight_counts_a_value_so_often() -> None:
    histogram = Histogram()
    histogram.add(1_000, 1)
    histogram.add(2_000, 9_999)

    assert histogram.percentiles(0.01) == [pytest.approx(2_000, rel=0.02)]
    assert (histogram.least, histogram.most) == (1_000, 2_000)


def test_more_single_values_than_are_held_are_all_counted() -> None:
    histogram = Histogram()
    for value in range(10_000):
        histogram.add(value)

    assert histogram.percentiles(0.5) == [pytest.approx(5_000, rel=0.02)]


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(Histogram().percentiles(0.5)[0])
