"""The newest records in memory, bounded in bytes: readers that keep up never touch the disk."""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import NamedTuple

from kalshi_trio.protocol.records import Records

OVERHEAD = 60
"""Bytes that a record costs beside its data, roughly."""


class Frames(NamedTuple):
    """Consecutive records of one segment."""

    segment: int
    records: list[Records]


class Window:
    """What was appended last. `first` is the oldest record that is still here, 0 while nothing was appended."""

    def __init__(self, max_bytes: int) -> None:
        self._runs: deque[tuple[int, Records, int]] = deque()
        self._max = max_bytes
        self._bytes = 0
        self.first = 0

    def put(self, segment: int, records: Records) -> int:
        """Adds the next records, lets the oldest go; returns their size."""
        nbytes = sum(map(len, records.data)) + OVERHEAD * len(records.data)
        self._runs.append((segment, records, nbytes))
        self._bytes += nbytes
        while self._bytes > self._max and len(self._runs) > 1:
            self._bytes -= self._runs.popleft()[2]
        self.first = self._runs[0][1].first
        return nbytes

    def after(self, frame: int, most: int) -> Frames | None:
        """About `most` records behind `frame`, all of one segment; None if there are none here."""
        if not self._runs or frame + 1 < self.first or self._runs[-1][1].last <= frame:
            return None
        found: list[Records] = []
        segment = count = 0
        for number, run, _ in self._behind(frame):
            if found and (number != segment or count >= most):
                break
            segment = number
            found.append(cut(run, frame))
            count += len(run.data)
        return Frames(segment, found)

    def _behind(self, frame: int) -> list[tuple[int, Records, int]]:
        newer = list(takewhile(lambda entry: entry[1].last > frame, reversed(self._runs)))
        return newer[::-1]


def cut(run: Records, after: int) -> Records:
    """The part of `run` behind record `after`."""
    if run.first > after:
        return run
    return run._replace(first=after + 1, data=run.data[after + 1 - run.first :])
