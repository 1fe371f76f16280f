"""The rows' task: packed rows become Arrow tables, once for everybody, and go into the window.

On the way each segment's digests are kept, and watchers (delta lines, lateness) are shown every batch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from kalshi_trio.journal.digest import TableDigest
from kalshi_trio.protocol.builder import Made, SegmentEnd
from kalshi_trio.protocol.schema import ROW_SCHEMAS, RowBatch
from kalshi_trio.row_window import RowWindow
from kalshi_trio.thread import Door

Digests = dict[str, tuple[int, str]]
"""Table → how many rows it has, and their digest."""


class SegmentRows:
    """Blocking: the rows of one segment, as tables and as digests."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._digests = {name: TableDigest(name) for name in ROW_SCHEMAS}
        self._counts = dict.fromkeys(ROW_SCHEMAS, 0)

    def add(self, made: Made) -> RowBatch:
        """The rows of `made`, counted and digested."""
        batch = made.rows()
        for name, table in batch.tables.items():
            self._digests[name].update(table)
            self._counts[name] += table.num_rows
        return batch

    def end(self) -> Digests:
        """The tables that had rows; the next segment begins."""
        done = {name: (count, self._digests[name].hexdigest()) for name, count in self._counts.items() if count}
        self._begin()
        return done


async def run_rows(
    made: trio.MemoryReceiveChannel[Made | SegmentEnd],
    window: RowWindow,
    door: Door,
    report: Callable[[SegmentEnd, Digests], Awaitable[None]],
    watchers: Sequence[Callable[[RowBatch], None]],
) -> None:
    """Until `made` ends; then the window is closed. `watchers` are called on the event loop and must be quick."""
    segment = SegmentRows()
    try:
        with made:
            async for item in made:
                if isinstance(item, SegmentEnd):
                    await report(item, segment.end())
                    continue
                batch = await door.run(segment.add, item)
                window.put(batch)
                for watch in watchers:
                    watch(batch)
    finally:
        window.close()
