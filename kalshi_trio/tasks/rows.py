"""The rows' task: packed rows become Arrow tables, once for everybody, and go into the window.

On the way each segment's digests are kept, and watchers (delta lines, lateness) are shown every batch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from kalshi_trio.fold import SegmentRows
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.digest import Digests
from kalshi_trio.protocol.builder import Made, SegmentEnd
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.row_window import RowWindow
from kalshi_trio.thread import Door


async def run_rows(
    made: trio.MemoryReceiveChannel[Made | SegmentEnd | Checkpoint],
    window: RowWindow,
    door: Door,
    report: Callable[[SegmentEnd, Digests], Awaitable[None]],
    keep: Callable[[Checkpoint], Awaitable[None]],
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
                if isinstance(item, Checkpoint):
                    await keep(item)
                    continue
                batch = await door.run(segment.add, item)
                window.put(batch)
                for watch in watchers:
                    watch(batch)
    finally:
        window.close()
