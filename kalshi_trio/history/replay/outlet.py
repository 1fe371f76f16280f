"""Rows made once for several sinks, which take them each at its own pace; whoever makes them waits for the slowest."""

from __future__ import annotations

from collections.abc import Callable

import trio

from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.rebuild import Pieces, RowReader
from kalshi_trio.row_window import RowWindow
from kalshi_trio.sinks.hints import NEVER
from kalshi_trio.tasks.writer import Source

WINDOW_BYTES = 64 << 20


class Outlet:
    """The rows of one session on their way to `count` sinks. Used on the event loop only.

    `again(after)` makes them from disk, for a sink that lost rows and begins anew.
    """

    def __init__(
        self,
        session: str,
        count: int,
        again: Callable[[int], Pieces],
        window_bytes: int = WINDOW_BYTES,
        last: int = NEVER,
    ) -> None:
        self._session, self._count, self._again, self._last = session, count, again, last
        self._window = RowWindow(window_bytes)
        self._readers: dict[int, RowReader] = {}
        self._moved = trio.Event()

    def source(self, number: int) -> Source:
        """What sink `number` (from 0) reads."""

        def rows_after(after: int) -> _Taken:
            reader = RowReader(self._window, self._again, lambda: self._window.last, self._until, after)
            self._readers[number] = reader
            self._wake()
            return _Taken(reader, self._wake)

        return Source(self._session, rows_after, self._until, lambda: self._last)

    async def put(self, batches: list[RowBatch]) -> None:
        """Hands on the next rows, as soon as no sink falls behind by that."""
        for batch in batches:
            while self._count and self._window.full(self._taken()):
                await self._moved.wait()
            self._window.put(batch)
            self._wake()

    def close(self) -> None:
        """No more rows will come."""
        self._window.close()
        self._wake()

    def _taken(self) -> int:
        """Up to which record all sinks have taken the rows; 0 while one has not begun."""
        frames = [reader.frame for reader in self._readers.values()]
        return min(frames) if len(frames) == self._count else 0

    async def _until(self, frame: int) -> None:
        while self._window.last < frame:
            await self._moved.wait()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()


class _Taken:
    """A reader that tells when it has moved on."""

    def __init__(self, reader: RowReader, moved: Callable[[], None]) -> None:
        self._reader, self._moved = reader, moved

    async def receive(self) -> RowBatch:
        batch = await self._reader.receive()
        self._moved()
        return batch

    def close(self) -> None:
        self._reader.close()
