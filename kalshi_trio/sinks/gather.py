"""Small batches in, large batches out: how much is written at once, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import trio

from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.sinks.batch import merge


class Rows(Protocol):
    """The rows of one session from some frame on, as a reader of the journal makes them."""

    async def receive(self) -> RowBatch:
        """The next batch: its `lo` follows the `hi` before it.

        Raises trio.EndOfChannel once the session has ended and all was handed out. Safe to cancel: nothing is lost.
        """

    def close(self) -> None:
        """Gives up what the reader holds."""


class Limits(NamedTuple):
    """When a batch is large or old enough to be written."""

    batch_rows: int
    """of any one table"""
    flush_secs: float
    """since the oldest row in it was taken"""
    batch_bytes: int = 64 << 20
    """of memory"""


class Gatherer:
    """Puts consecutive batches of one date together until a limit is reached, the date changes or the rows end.

    While the sink is slow nothing is taken, so what waits in front of it is taken in larger batches afterwards.
    """

    def __init__(self, rows: Rows, limits: Limits, after: int, taken: Callable[[RowBatch], None]) -> None:
        self._rows = rows
        self._limits = limits
        self._last = after
        self._taken = taken
        self._next: RowBatch | None = None

    async def next(self) -> RowBatch | None:
        """The next batch to write, None when there is none any more; `taken` hears of each part as it comes.

        Cancelling gives up what was gathered: it is not stored, and whoever reads again begins where the sink ends.
        """
        first = await self._take(None)
        if first is None:
            return None
        held, counts, nbytes = [first], _count({}, first), first.nbytes
        due = trio.current_time() + self._limits.flush_secs
        while max(counts.values(), default=0) < self._limits.batch_rows and nbytes < self._limits.batch_bytes:
            batch = None
            with trio.move_on_at(due):
                batch = await self._take(held[-1])
            if batch is None:
                break
            held.append(batch)
            _count(counts, batch)
            nbytes += batch.nbytes
        return merge(held)

    async def _take(self, before: RowBatch | None) -> RowBatch | None:
        batch, self._next = self._next, None
        if batch is None:
            try:
                batch = await self._rows.receive()
            except trio.EndOfChannel:
                return None
            if batch.lo != self._last + 1:
                message = f"rows of frame {batch.lo} follow frame {self._last} of session {batch.session}"
                raise ValueError(message)
            self._last = batch.hi
            self._taken(batch)
        if before is not None and batch.date != before.date:
            self._next = batch
            return None
        return batch


def _count(counts: dict[str, int], batch: RowBatch) -> dict[str, int]:
    for table, rows in batch.tables.items():
        counts[table] = counts.get(table, 0) + rows.num_rows
    return counts
