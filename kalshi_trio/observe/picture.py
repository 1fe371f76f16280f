"""What the live view shows, taken from the running session at one moment.

It is a copy: the thread that draws it reads nothing that a task may change meanwhile.
"""

from __future__ import annotations

import copy
import time
from typing import NamedTuple

from kalshi_trio.observe.meter import Meter, Rates
from kalshi_trio.observe.stats import Stats

PAST = 60
"""Seconds of the rate that a view may show."""


class Bound(NamedTuple):
    """Where a recording ends by itself; 0: not by this."""

    seconds: float = 0.0
    frames: int = 0


class Progress(NamedTuple):
    """How far a bounded recording is, 0 to 1, and the seconds that are left (None: not known yet)."""

    done: float
    left: float | None


class Stage(NamedTuple):
    """How far something is that reads the journal; `good`: what colour its state has."""

    name: str
    state: str
    good: bool
    stored: int | None
    pending: int | None
    records: int
    seconds: float


class Picture(NamedTuple):
    """All that a view needs; times in seconds."""

    stats: Stats
    rates: Rates
    stages: tuple[Stage, ...]
    elapsed: float
    quiet: float
    stopping: bool
    progress: Progress | None


def take_picture(stats: Stats, meter: Meter, elapsed: float, *, stopping: bool, bound: Bound | None = None) -> Picture:
    """The session now; `elapsed` seconds after its start."""
    rates = meter.rates(PAST)
    heard = stats.feed.last_frame_mono_ns
    return Picture(
        _copy(stats),
        rates,
        tuple(_stages(stats, meter)),
        elapsed,
        (time.monotonic_ns() - heard) / 1e9 if heard else 0.0,
        stopping,
        _progress(bound, stats.feed.received, elapsed, rates) if bound else None,
    )


def _copy(stats: Stats) -> Stats:
    """The parts and what they hold: tasks put new dictionaries into `stats.builder`, or change those that are there."""
    same = copy.copy(stats)
    same.feed, same.journal, same.builder = copy.copy(stats.feed), copy.copy(stats.journal), copy.copy(stats.builder)
    same.builder.busy, same.builder.tops = dict(stats.builder.busy), dict(stats.builder.tops)
    same.builder.drift = list(stats.builder.drift)
    same.sinks = {name: copy.copy(sink) for name, sink in stats.sinks.items()}
    return same


def _stages(stats: Stats, meter: Meter) -> list[Stage]:
    journal, last = stats.journal, stats.journal.last_frame

    def stage(name: str, state: str, good: bool, frame: int, rows: tuple[int, int] | None = None) -> Stage:  # noqa: FBT001  a column
        stored, pending = rows or (None, None)
        return Stage(name, state, good, stored, pending, max(last - frame, 0), meter.behind(frame))

    return [
        stage("journal", "unwritable" if journal.error else "writing", not journal.error, journal.durable_frame),
        stage("books", "reading", True, stats.builder.frame),  # noqa: FBT003  see above
        *(
            stage(
                sink.name,
                sink.state,
                sink.state in {"ok", "opening", "closed"},
                sink.through,
                (sink.stored_rows, sink.pending_rows),
            )
            for sink in stats.sinks.values()
        ),
    ]


def _progress(bound: Bound, received: int, elapsed: float, rates: Rates) -> Progress:
    """By whichever of the two ends will come first."""
    by_time = Progress(min(elapsed / bound.seconds, 1.0), max(bound.seconds - elapsed, 0.0)) if bound.seconds else None
    if not bound.frames:
        return by_time or Progress(0.0, None)
    rate = rates.now or rates.mean
    missing = max(bound.frames - received, 0)
    by_frames = Progress(min(received / bound.frames, 1.0), missing / rate if rate else None)
    ends = [end for end in (by_time, by_frames) if end]
    return min(ends, key=lambda end: (end.left is None, end.left))
