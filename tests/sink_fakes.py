"""Fakes around the writer: a store in memory that fails when told, and sessions that can be read from any frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import trio
from sink_rows import SESSION

from kalshi_trio.errors import SinkError
from kalshi_trio.protocol.schema import TABLES, RowBatch
from kalshi_trio.sinks.batch import beyond
from kalshi_trio.sinks.hints import NEVER, believed, seal
from kalshi_trio.thread import Door

T = TypeVar("T")


class InlineDoor(Door):
    """Calls at once: a thread would let the virtual clock jump."""

    async def run(self, call: Callable[..., T], *args: object) -> T:
        await trio.lowlevel.checkpoint()
        return call(*args)


class MemoryStore:
    """Rows in memory; `faults` yields, before and after each commit of a table, an error to raise or None."""

    name = "Memory"

    def __init__(self, faults: Iterator[SinkError | None] | None = None) -> None:
        self.faults = faults
        self.rows: dict[str, list[tuple[int, int]]] = {table: [] for table in TABLES}
        self.commits: list[RowBatch] = []
        self.hints: dict[str, int] = {}
        self.kept: dict[str, dict[str, object]] = {}
        self.asked = 0
        self.interrupted = False

    def open(self) -> None:
        self._fail()

    def positions(self, session: str) -> dict[str, int]:
        assert session == SESSION
        self.asked += 1
        self._fail()
        return {table: max((frame for frame, _ in rows), default=0) for table, rows in self.rows.items()}

    def write(self, batch: RowBatch, after: dict[str, int]) -> None:
        for table, rows in batch.tables.items():
            rest = beyond(rows, after[table])
            if rest.num_rows:
                self._fail()
                self.rows[table] += zip(rest["frame"].to_pylist(), rest["row"].to_pylist(), strict=True)
                self._fail()
        self.commits.append(batch)

    def count(self, session: str) -> dict[str, int]:
        assert session == SESSION
        self._fail()
        return {table: len(rows) for table, rows in self.rows.items()}

    def progress(self, session: str, through: int, held: Mapping[str, int] = {}) -> None:
        self._fail()
        self.hints[session] = through
        self.kept[session] = seal(session, through, held)

    def hint(self, session: str, held: Mapping[str, int] | None = None, last: int = NEVER) -> int:
        self._fail()
        return believed(self.name, self.kept.get(session, {}), session, held, last)

    def remove(self, session: str) -> None:
        self._fail()
        self.hints.pop(session, None)
        self.kept.pop(session, None)
        self.rows = {table: [] for table in TABLES}

    def interrupt(self) -> None:
        self.interrupted = True

    def close(self) -> None: ...

    def _fail(self) -> None:
        error = next(self.faults, None) if self.faults else None
        if error is not None:
            raise error


class ListedRows:
    """Batches from a list; `gap` seconds of virtual time before each."""

    def __init__(self, batches: list[RowBatch], gap: float = 0.0, *, ends: bool = True) -> None:
        self.batches = batches
        self.gap = gap
        self.ends = ends
        self.closed = False

    async def receive(self) -> RowBatch:
        await trio.sleep(self.gap)
        if not self.batches and not self.ends:
            await trio.sleep_forever()
        if not self.batches:
            raise trio.EndOfChannel
        return self.batches.pop(0)

    def close(self) -> None:
        self.closed = True


class Session:
    """All batches of a session, read again from any frame, cut as `cuts` says."""

    def __init__(self, batches: list[RowBatch], gap: float = 0.0, *, ends: bool = True) -> None:
        self.batches = batches
        self.gap = gap
        self.ends = ends
        self.starts: list[int] = []

    def rows_after(self, frame: int) -> ListedRows:
        self.starts.append(frame)
        rest = [batch for batch in self.batches if batch.hi > frame]
        if rest and rest[0].lo <= frame:
            rest[0] = _tail(rest[0], frame)
        return ListedRows(rest, self.gap, ends=self.ends)

    def all_rows(self) -> dict[str, Counter[tuple[int, int]]]:
        counted: dict[str, Counter[tuple[int, int]]] = {table: Counter() for table in TABLES}
        for one in self.batches:
            for table, rows in one.tables.items():
                counted[table].update(zip(rows["frame"].to_pylist(), rows["row"].to_pylist(), strict=True))
        return counted


def _tail(whole: RowBatch, frame: int) -> RowBatch:
    tables = {name: beyond(rows, frame) for name, rows in whole.tables.items()}
    return whole._replace(lo=frame + 1, tables={name: rows for name, rows in tables.items() if rows.num_rows})
