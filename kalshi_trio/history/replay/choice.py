"""A choice of markets and times: a session of its own, whose rows are exactly those of the whole one that belong to it.

They keep their frame and row numbers. A row belongs if its record lies in the span and it does not speak of other markets
only: rows that name no market (a session's start and end, what was told of an event, a hole in which no market is named)
belong to every choice of markets, a hole to the choice of any of its markets.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kalshi_trio.protocol.schema import RowBatch, beyond


class Choice(NamedTuple):
    """Records `first`..`last` of a session, rows of these `markets` (none named: of all)."""

    first: int
    last: int
    markets: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """How many records."""
        return self.last - self.first + 1

    def done(self, frame: int) -> int:
        """How many of them are done when record `frame` is."""
        return max(frame - self.first + 1, 0)

    def whole(self, last: int) -> bool:
        """Whether it is no choice at all: everything of a session whose last record that is."""
        return not self.markets and (self.first, self.last) == (1, last)

    def name(self, session: str) -> str:
        """The id of the session that the choice makes of `session`."""
        about = json.dumps([self.first, self.last, sorted(set(self.markets))], separators=(",", ":"))
        return f"{session}~{hashlib.sha256(about.encode()).hexdigest()[:12]}"

    def rows(self, batch: RowBatch) -> RowBatch:
        """The part of the batch that belongs; it still covers the same records."""
        tables = {name: self._of(table) for name, table in batch.tables.items()}
        kept = {name: table for name, table in tables.items() if table.num_rows}
        return batch._replace(tables=kept, nbytes=sum(table.nbytes for table in kept.values()))

    def _of(self, table: pa.Table) -> pa.Table:
        table = beyond(table, self.first - 1)
        end = int(np.searchsorted(table["frame"].to_numpy(), np.uint64(self.last), side="right"))
        table = table.slice(0, end)
        return table.filter(self._named(table)) if self.markets and table.num_rows else table

    def _named(self, table: pa.Table) -> pa.ChunkedArray | pa.Array:
        if "market" in table.column_names:
            named = pc.is_in(table["market"], value_set=pa.array(self.markets, pa.string()))
            return pc.or_(named, pc.is_null(table["market"]))
        if "gap_frame" in table.column_names:
            chosen = set(self.markets)
            return pa.array([not listed or not chosen.isdisjoint(listed) for listed in table["markets"].to_pylist()])
        return pa.repeat(pa.scalar(value=True), table.num_rows)
