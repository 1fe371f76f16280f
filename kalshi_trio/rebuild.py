"""Rows made again from the journal on disk, for a sink that fell behind or was down: the same builder, the same rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

import trio

from kalshi_trio.fold import feed
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.reading import Hole, read_around
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.row_window import RowWindow
from kalshi_trio.thread import Door

PIECE = 4_000
"""Records a piece: a worker thread holds the interpreter's lock for some 20 ms with it, in slices of 5 ms."""


class Rebuild:
    """Blocking: the rows of a session after record `after`, piece by piece."""

    def __init__(self, folder: Path, session: str, after: int) -> None:
        self._folder = folder
        self._session = session
        self._after = after
        self._builder: Builder | None = None
        self._found: Iterator[Frames | Hole] = iter(())

    @property
    def builder(self) -> Builder:
        """The builder, at the nearest checkpoint to begin with: what lies before it need not be read."""
        if self._builder is None:
            near = checkpoints.nearest(self._folder, self._after)
            self._builder = Builder(self._session, near.blob if near else None)
        return self._builder

    def piece(self, through: int) -> list[RowBatch]:
        """The next rows up to record `through`; none if there are no more. What is damaged is a hole in them."""
        builder = self.builder
        while builder.state.frame < through:
            found = next(self._found, None)
            if found is None:
                self._found = read_around(self._folder, builder.state.frame, through)
            else:
                feed(builder, found)
            if builder.waiting >= PIECE:
                batches = self._take()
                if batches:
                    return batches
        return self._take()

    def _take(self) -> list[RowBatch]:
        made = self.builder.take()
        self.builder.told()
        return [one.rows().beyond(self._after) for one in made if one.hi > self._after]


class Pieces(Protocol):
    """Rows of a session, made from the journal on disk."""

    def piece(self, through: int) -> list[RowBatch]:
        """Blocking: the next rows up to record `through`; none if there are no more."""


class RowReader:
    """One sink's way through the rows of a session: from memory while it keeps up, else made again from disk.

    `durable()` is the last record on disk, `wait(frame)` returns when `frame` is.
    """

    def __init__(
        self,
        window: RowWindow,
        rebuild: Callable[[int], Pieces],
        durable: Callable[[], int],
        wait: Callable[[int], Awaitable[None]],
        after: int,
    ) -> None:
        self._window = window
        self._make = rebuild
        self._durable = durable
        self._wait = wait
        self._door = Door()
        self._frame = after
        self._rebuild: Pieces | None = None
        self._pieces: deque[RowBatch] = deque()

    def close(self) -> None:
        """Gives up what it holds; it may not be used afterwards."""
        self._rebuild = None
        self._pieces.clear()

    @property
    def frame(self) -> int:
        """The last record whose rows it has handed out."""
        return self._frame

    async def receive(self) -> RowBatch:
        """The next batch: it goes on where the last one ended. Raises trio.EndOfChannel at the end.

        Cancelling loses nothing: the next call goes on at the same place.
        """
        await trio.lowlevel.checkpoint()
        while True:
            batch = self._pieces.popleft() if self._pieces else self._window.after(self._frame)
            if batch is not None:
                if not self._pieces and self._window.first <= batch.lo:
                    self._rebuild = None
                self._frame = batch.hi
                return batch
            if self._window.closed and self._frame >= self._window.last:
                raise trio.EndOfChannel
            if 0 < self._window.first <= self._frame + 1 or not self._window.first:
                await self._window.changed()
            else:
                await self._from_disk()

    async def _from_disk(self) -> None:
        """The window has moved on: make what lies between, as far as it is durable."""
        await self._wait(self._frame + 1)
        if self._rebuild is None:
            self._rebuild = self._make(self._frame)
        self._pieces.extend(await self._door.run(self._rebuild.piece, self._durable()))
