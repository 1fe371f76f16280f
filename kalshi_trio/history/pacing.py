"""At which pace records come again: by the monotonic stamps that they were recorded with, on Trio's clock."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from kalshi_trio.journal.reading import Hole
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.records import Records

TICK = 0.02
"""Seconds: what falls due within one comes together, at its end."""


class Pace:
    """`speed` times as fast as it was recorded; None: as fast as may be. Records before `first` come at once."""

    def __init__(self, speed: float | None, first: int = 1) -> None:
        self._speed = speed
        self._first = first
        self._begun: tuple[int, float] | None = None

    def parts(self, found: Frames | Hole) -> Iterator[tuple[float, Frames | Hole]]:
        """The records in parts that come together, each with the time (Trio's) at which it falls due."""
        if self._speed is None or isinstance(found, Hole) or found.records[-1].last < self._first:
            yield 0.0, found
            return
        held: list[Records] = []
        ends, due = 0.0, 0.0
        for records in found.records:
            at = self._due(records)
            if held and at > ends:
                yield due, Frames(found.segment, held)
                held = []
            if not held:
                ends = at + TICK
            held.append(records)
            due = at
        yield due, Frames(found.segment, held)

    def pause(self, seconds: float) -> None:
        """All that follows falls due so much later."""
        if self._begun is not None:
            self._begun = (self._begun[0], self._begun[1] + seconds)

    def _due(self, records: Records) -> float:
        if records.last < self._first or self._speed is None:
            return 0.0
        if self._begun is None:
            self._begun = (records.mono_ns, trio.current_time())
        mono_ns, since = self._begun
        return since + (records.mono_ns - mono_ns) / 1e9 / self._speed
