"""What the live view shows is a copy, with lags and progress."""

from __future__ import annotations

import pytest
from view_help import some_stats

from kalshi_trio.observe.meter import Meter
from kalshi_trio.observe.picture import Bound, Picture, Progress, take_picture
from kalshi_trio.observe.stats import Stats


def after(seconds: float, stats: Stats, bound: Bound | None = None, received: int = 0) -> Picture:
    """The picture after so many seconds of receiving evenly."""
    meter = Meter(stats, 0)
    stats.feed.received += received
    meter.take(seconds)
    return take_picture(stats, meter, seconds, stopping=False, bound=bound)


def test_a_picture_does_not_change_with_the_session() -> None:
    stats = some_stats()
    picture = after(1, stats)

    stats.feed.received = 0
    stats.builder.busy.clear()
    stats.builder.tops.clear()
    stats.builder.drift.append("later")
    stats.sinks["parquet"].state = "refused"
    stats.sinks.clear()

    assert picture.stats == some_stats()


def test_each_reader_of_the_journal_says_how_far_it_is_behind() -> None:
    stages = {stage.name: stage for stage in after(1, some_stats()).stages}

    assert {name: stage.records for name, stage in stages.items()} == {
        "journal": 12,
        "books": 10,
        "Parquet": 20_290,
        "ClickHouse": 40_290,
    }
    assert [name for name, stage in stages.items() if not stage.good] == ["ClickHouse"]


def test_a_journal_that_cannot_write_is_not_good() -> None:
    stats = some_stats()
    stats.journal.error = "No space left on device"

    assert after(1, stats).stages[0][:3] == ("journal", "unwritable", False)


@pytest.mark.parametrize(
    ("bound", "progress"),
    [
        (None, None),
        (Bound(), Progress(0, None)),
        (Bound(seconds=40), Progress(0.25, 30)),
        (Bound(seconds=5), Progress(1, 0)),
        (Bound(frames=4_000), Progress(0.25, 30)),
        (Bound(seconds=40, frames=2_000), Progress(0.5, 10)),
        (Bound(seconds=15, frames=4_000), Progress(10 / 15, 5)),
    ],
)
def test_progress_is_towards_the_end_that_comes_first(bound: Bound | None, progress: Progress | None) -> None:
    assert after(10, Stats(), bound, received=1_000).progress == progress


def test_while_nothing_comes_nobody_knows_when_so_many_frames_are_there() -> None:
    assert after(10, Stats(), Bound(frames=10)).progress == Progress(0, None)
    assert after(10, Stats(), Bound(seconds=20, frames=10)).progress == Progress(0.5, 10)
