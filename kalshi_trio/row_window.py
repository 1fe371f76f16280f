"""Rows, made once for all sinks: a window of batches in memory, bounded in bytes, with a way back for who falls out of it.

Whoever reads too slowly loses its place here and makes the rows again, from the journal on disk, with a builder of its
own; it joins the others again at a record boundary. So memory does not grow with lag, and nobody waits for anybody.
"""

from __future__ import annotations

from collections import deque

import trio

from kalshi_trio.protocol.schema import RowBatch


class RowWindow:
    """The newest row batches of a session. Used on the event loop only."""

    def __init__(self, max_bytes: int = 0) -> None:
        self._batches: deque[RowBatch] = deque()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._changed = trio.Event()
        self.closed = False
        self.last = 0

    def put(self, batch: RowBatch) -> None:
        """Adds the next batch, and lets the oldest go while there is too much (the newest always stays)."""
        self._batches.append(batch)
        self._bytes += batch.nbytes
        self.last = batch.hi
        while self._bytes > self._max_bytes and len(self._batches) > 1:
            self._bytes -= self._batches.popleft().nbytes
        self._wake()

    def full(self, taken: int) -> bool:
        """Whether a reader that has taken the rows up to record `taken` would fall out if another batch came."""
        return self._bytes >= self._max_bytes and bool(self._batches) and self._batches[0].hi > taken

    def close(self) -> None:
        """No more batches will come."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    @property
    def first(self) -> int:
        """The first record that is covered here; that behind the last one if the session is over, 0 if it begins."""
        if self._batches:
            return self._batches[0].lo
        return self.last + 1 if self.closed else 0

    @classmethod
    def past(cls, last: int) -> RowWindow:
        """The empty window of a session that ended with record `last`: all its rows are made from disk."""
        window = cls()
        window.last = last
        window.close()
        return window

    def after(self, frame: int) -> RowBatch | None:
        """The batch that goes on after `frame`, cut there if it must be; None if it is not here."""
        for batch in reversed(self._batches):
            if batch.lo <= frame + 1 <= batch.hi:
                found: RowBatch = batch.beyond(frame)
                return found
            if batch.hi <= frame:
                break
        return None

    async def changed(self) -> None:
        """Waits for a new batch or the end."""
        await self._changed.wait()
