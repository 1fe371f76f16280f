"""Rates and lags, from how the counters were some seconds ago."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import deque
from typing import NamedTuple

from kalshi_trio.observe.stats import Stats

KEPT = 3_600
"""Seconds for which the past is known; a lag beyond that is shown as that."""
NOW = 3
"""Seconds that make a rate "now": less of them and it trembles."""


class Sample(NamedTuple):
    """The counters at a moment, in seconds of the caller's clock."""

    at: float
    received: int
    nbytes: int
    record: int


class Rates(NamedTuple):
    """Frames and bytes a second, and the frames of each of the last seconds."""

    now: float = 0.0
    mean: float = 0.0
    nbytes: float = 0.0
    past: tuple[float, ...] = ()


class Meter:
    """Keeps the counters second by second; `take` is called some times a second."""

    def __init__(self, stats: Stats, now: float) -> None:
        self._stats = stats
        self._first = self._last = self._sample(now)
        self._kept: deque[Sample] = deque([self._first], maxlen=KEPT)

    def take(self, now: float) -> None:
        """Looks at the counters."""
        self._last = self._sample(now)
        if now - self._kept[-1].at >= 1:
            self._kept.append(self._last)

    def rates(self, past: int) -> Rates:
        """The rates now, and at most `past` of the seconds before."""
        kept = list(self._kept)[-max(past, NOW) - 1 :]
        frames, nbytes = _rates(kept[max(len(kept) - NOW, 0)], self._last)
        steps = tuple(_rates(*pair)[0] for pair in itertools.pairwise(kept))
        return Rates(frames, _rates(self._first, self._last)[0], nbytes, steps[-past:])

    def behind(self, record: int) -> float:
        """For how many seconds there has been a record after `record`; 0 if there is none."""
        if record >= self._last.record:
            return 0.0
        place = bisect_left(self._kept, record + 1, key=lambda sample: sample.record)
        since = self._kept[place] if place < len(self._kept) else self._last
        return self._last.at - since.at

    def _sample(self, now: float) -> Sample:
        feed = self._stats.feed
        return Sample(now, feed.received, feed.received_bytes, self._stats.journal.last_frame)


def _rates(before: Sample, after: Sample) -> tuple[float, float]:
    seconds = after.at - before.at
    if seconds <= 0:
        return 0.0, 0.0
    return (after.received - before.received) / seconds, (after.nbytes - before.nbytes) / seconds
