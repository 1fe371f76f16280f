"""Rates and lags."""

from __future__ import annotations

import pytest

from kalshi_trio.observe.meter import KEPT, Meter
from kalshi_trio.observe.stats import Stats


def ran(*received: int) -> tuple[Stats, Meter]:
    """A session that had received so much after each second; a record a frame, 100 bytes each."""
    stats = Stats()
    meter = Meter(stats, 0)
    for second, frames in enumerate(received, 1):
        stats.feed.received, stats.feed.received_bytes = frames, 100 * frames
        stats.journal.last_frame = frames
        meter.take(second)
    return stats, meter


def test_the_rate_now_is_that_of_the_last_seconds_and_the_mean_that_of_all() -> None:
    _, meter = ran(100, 200, 300, 1_300, 2_300, 3_300)

    rates = meter.rates(4)

    assert (rates.now, rates.mean, rates.nbytes) == (1_000, 550, 100_000)
    assert rates.past == (100, 1_000, 1_000, 1_000)


def test_there_is_a_rate_before_the_first_second_is_over() -> None:
    stats, meter = ran()
    stats.feed.received = 50
    meter.take(0.5)

    assert meter.rates(60).now == pytest.approx(100)


def test_nothing_received_is_a_rate_of_zero() -> None:
    _, meter = ran()

    assert meter.rates(60) == (0, 0, 0, ())


def test_whoever_has_the_last_record_is_not_behind() -> None:
    _, meter = ran(100, 200)

    assert meter.behind(200) == 0


def test_a_lag_is_the_time_since_a_later_record_was_there() -> None:
    _, meter = ran(100, 200, 300, 400)

    assert meter.behind(100) == 2
    assert meter.behind(250) == 1
    assert meter.behind(399) == 0


def test_a_lag_goes_on_growing_while_nothing_comes() -> None:
    _, meter = ran(100, 200, 200, 200, 200)

    assert meter.behind(100) == 3


def test_memory_does_not_grow_with_the_session() -> None:
    _, meter = ran(*range(1, KEPT + 500))

    assert meter.behind(0) == KEPT - 1
    assert len(meter._kept) == KEPT
