"""Frames that wait for one client, bounded in bytes."""

from __future__ import annotations

from collections.abc import Sequence

import trio


class Outbox:
    """Filled without waiting, emptied by the one task that sends."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames: list[bytes] = []
        self._bytes = 0
        self._changed = trio.Event()

    def put(self, frames: Sequence[bytes]) -> bool:
        """Takes these frames, and says whether there is room for more: when there is not, put nothing more."""
        if frames:
            self._frames += frames
            self._bytes += sum(map(len, frames))
            self._wake()
        return self._bytes < self._limit

    async def take(self) -> list[bytes]:
        """All that waits; waits for the first frame. Safe to cancel: nothing is taken then."""
        while not self._frames:
            await self._changed.wait()
        await trio.lowlevel.checkpoint_if_cancelled()
        frames, self._frames, self._bytes = self._frames, [], 0
        self._wake()
        return frames

    def give_up(self) -> None:
        """Nobody will take what waits: it is dropped, and whoever waits for room has it."""
        self._frames, self._bytes = [], 0
        self._wake()

    async def room(self) -> None:
        """Waits until there is room."""
        while self._bytes >= self._limit:
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
