"""A reader of the live journal: one iterator, from memory while it keeps up, else from disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import trio

from kalshi_trio.journal.reading import read_session
from kalshi_trio.journal.window import Frames
from kalshi_trio.journal.writer import Journal
from kalshi_trio.thread import Door

__all__ = ["Frames", "Reader", "read_session"]

MOST = 5_000


class Reader:
    """Hands out every record behind `after`, once, in order."""

    def __init__(self, journal: Journal, after: int = 0) -> None:
        self._journal = journal
        self._frame = after
        self._door = Door()
        self._pieces: deque[Frames] = deque()
        self._disk: Iterator[Frames] | None = None

    async def receive(self) -> Frames:
        """The next records, all of one segment; trio.EndOfChannel once the journal is closed and read to its end.

        Cancelling loses nothing: the next call goes on at the same place.
        """
        await trio.lowlevel.checkpoint()
        journal = self._journal
        while True:
            frames = self._pieces.popleft() if self._pieces else self._from_memory()
            if frames is not None:
                self._frame = frames.records[-1].last
                return frames
            if self._frame < journal.last_frame:
                await self._from_disk()
            elif journal.closed:
                raise trio.EndOfChannel
            else:
                await journal.changed()

    def _from_memory(self) -> Frames | None:
        frames = self._journal.window.after(self._frame, MOST)
        if frames is not None:
            self._disk = None  # it has a place of its own, which is behind from now on
        return frames

    async def _from_disk(self) -> None:
        journal = self._journal
        await journal.durable(self._frame + 1)
        found = await self._door.run(self._piece, self._frame, journal.durable_frame)
        if found is not None:
            self._pieces.append(found)

    def _piece(self, after: int, through: int) -> Frames | None:
        if self._disk is not None:
            found = next(self._disk, None)
            if found is not None:
                return found
        self._disk = read_session(self._journal.folder, after, through)
        return next(self._disk, None)
