"""Arrivals between who reads and who takes: in order, bounded in bytes, with an end that is told last."""

from __future__ import annotations

from collections import deque

import trio

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.seam import Arrival

HELD_BYTES = 8 << 20
STALL_SECONDS = 5.0


class Held:
    """Filled by one task and emptied by another."""

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self._limit = limit
        self._arrivals: deque[tuple[Arrival, int]] = deque()
        self._bytes = 0
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self.lost: FeedLost | None = None
        """Why nothing more will come."""

    def put(self, arrival: Arrival) -> None:
        """Adds an arrival; dropped where the end has been told already. Never waits."""
        if self.lost is None:
            size = sum(map(len, arrival.frames))
            self._arrivals.append((arrival, size))
            self._bytes += size
            self._filled.set()

    def end(self, lost: FeedLost) -> None:
        """Nothing more will come; only the first reason counts."""
        self.lost = self.lost or lost
        self._filled.set()
        self._emptied.set()

    async def room(self) -> bool:
        """Waits while too much is here; False if that lasts for 5 seconds. Always room after the end."""
        with trio.move_on_after(STALL_SECONDS):
            while self._bytes >= self._limit and self.lost is None:
                self._emptied = trio.Event()
                await self._emptied.wait()
        return self._bytes < self._limit or self.lost is not None

    async def take(self) -> Arrival:
        """The oldest arrival; at the end raises what `end` was told. Cancelling loses nothing."""
        await trio.lowlevel.checkpoint()
        while not self._arrivals:
            if self.lost is not None:
                raise self.lost
            self._filled = trio.Event()
            await self._filled.wait()
        arrival, size = self._arrivals.popleft()
        self._bytes -= size
        self._emptied.set()
        return arrival

    def rest(self) -> list[Arrival]:
        """Everything that is here."""
        rest = [arrival for arrival, _ in self._arrivals]
        self._arrivals.clear()
        self._bytes = 0
        self._emptied.set()
        return rest
