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
        self._begun_ns: int | None = None
        self._since = 0.0

    def parts(self, found: Frames | Hole) -> Iterator[tuple[float, Frames | Hole]]:
        """The records in parts that come together, each with the seconds, since the first one, at which it falls due."""
        if self._speed is None or isinstance(found, Hole) or found.records[-1].last < self._first:
            yield 0.0, found
            return
        held: list[Records] = []
        ends = due = 0.0
        for records in found.records:
            at = self._due(records, self._speed)
            if held and at > ends:
                yield due, Frames(found.segment, held)
                held = []
            if not held:
                ends = at + TICK
            held.append(records)
            due = at
        yield due, Frames(found.segment, held)

    async def wait(self, due: float) -> None:
        """Until a part falls due."""
        if due and self._since + due > trio.current_time():
            await trio.sleep_until(self._since + due)

    def pause(self, seconds: float) -> None:
        """All that follows falls due so much later."""
        self._since += seconds

    def _due(self, records: Records, speed: float) -> float:
        if records.last < self._first:
            return 0.0
        if self._begun_ns is None:
            self._begun_ns, self._since = records.mono_ns, trio.current_time()
        return (records.mono_ns - self._begun_ns) / 1e9 / speed
