"""Books and figures made again from nothing but the rows, to be compared with what an independent book found."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import ROW_SCHEMAS

Levels = dict[int, int]


def tables(builder: Builder, some: Iterable[Records]) -> dict[str, pa.Table]:
    """All rows that these records make, each batch validated in full."""
    batches: dict[str, list[pa.Table]] = defaultdict(list)
    for records in some:
        builder.feed(records)
    for made in builder.take():
        for name, table in made.rows().tables.items():
            table.validate(full=True)
            batches[name].append(table)
    return {name: pa.concat_tables([schema.empty_table(), *batches[name]]) for name, schema in ROW_SCHEMAS.items()}


def values(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """Rows of these columns; decimals in their own unit."""
    return zip(*(_values(table[name]) for name in names), strict=True)


def _values(column: pa.ChunkedArray) -> list[Any]:
    if not pa.types.is_decimal(column.type):
        return list(column.to_pylist())
    array = column.combine_chunks()
    halves = np.frombuffer(array.buffers()[1], "<i8")[2 * array.offset :: 2][: len(array)].tolist()
    return [half if there else None for half, there in zip(halves, array.is_valid().to_pylist(), strict=True)]


@dataclass
class Market:
    """One market's book, and how often what was said of it; `before`: the book that the last close emptied."""

    connection: int = 0
    yes: Levels = field(default_factory=dict)
    no: Levels = field(default_factory=dict)
    before: tuple[Levels, Levels] | None = None
    counts: Counter[str] = field(default_factory=Counter)


class Rebuilt:
    """What the rows of a whole session say."""

    def __init__(self, rows: dict[str, pa.Table], last_connection: int) -> None:
        self.markets: dict[str, Market] = defaultdict(Market)
        self._bests = hashlib.sha256()
        self._fold(rows)
        for name, counted in (("trades", "trades"), ("tickers", "ticker_msgs")):
            for market in rows[name]["market"].to_pylist():
                self.markets[market].counts[counted] += 1
        for book in self.markets.values():
            if book.connection != last_connection:
                book.yes, book.no = {}, {}
        tops = values(rows["top_of_book"], "market", "bid", "bid_size", "ask", "ask_size", "valid")
        self.tops = {market: best for market, *best in tops}
        self.causes = Counter(cause for event, cause in values(rows["gaps"], "event", "cause") if event == "opened")
        self.runs = _runs(rows)

    def _fold(self, rows: dict[str, pa.Table]) -> None:
        columns = ("frame", "connection", "market", "side", "price")
        levels = itertools.groupby(values(rows["snapshots"], *columns, "size"), key=lambda row: row[:3])
        snapshots = ((*shared, list(group)) for shared, group in levels)
        deltas = values(rows["deltas"], *columns, "delta", "size", "valid")
        for _, connection, market, *what in heapq.merge(snapshots, deltas, key=lambda row: row[0]):
            if len(what) == 1:
                self._snapshot(market, connection, what[0])
            else:
                self._delta(market, connection, *what)

    def _snapshot(self, name: str, connection: int, rows: list[tuple[Any, ...]]) -> None:
        market = self.markets[name]
        market.counts["snapshots"] += 1
        yes, no = ({row[4]: row[5] for row in rows if row[3] == side} for side in ("yes", "no"))
        if market.connection == connection and (market.yes or market.no) and not yes and not no:
            market.before = market.yes, market.no
        market.connection, market.yes, market.no = connection, yes, no
        self._best(name)

    def _delta(
        self, name: str, connection: int, side: str, price: int, delta: int, size: int | None, valid: bool
    ) -> None:
        market = self.markets[name]
        levels = market.yes if side == "yes" else market.no
        market.counts["deltas"] += 1
        if market.connection != connection:
            market.counts["deltas_unanchored"] += 1
            assert (size, valid) == (None, False)
        elif not valid:
            market.counts["deltas_while_invalid_after_gap"] += 1
            assert size is None
        else:
            after = levels.get(price, 0) + delta
            assert after == size
            levels[price] = after
            if not after:
                del levels[price]
            self._best(name)

    def _best(self, name: str) -> None:
        market = self.markets[name]
        sides = []
        for levels in (market.yes, market.no):
            best = max(levels, default=None)
            sides.append("-|-" if best is None else f"{best}|{levels[best]}")
        self._bests.update(f"{name}|{sides[0]}|{sides[1]}\n".encode())

    @property
    def bests(self) -> str:
        """Digest of the best prices after every snapshot and applied delta."""
        return self._bests.hexdigest()

    def digest(self, *names: str, before_close: bool = False) -> str:
        """Digest of these markets' books; with `before_close`, an emptied one as it stood before."""
        digest = hashlib.sha256()
        for name in sorted(names or self.markets):
            market = self.markets[name]
            yes, no = market.yes, market.no
            if before_close and market.before is not None and not yes and not no:
                yes, no = market.before
            for side, levels in (("no", no), ("yes", yes)):
                for price in sorted(levels):
                    digest.update(f"{name}|{side}|{price}|{levels[price]}\n".encode())
        return digest.hexdigest()


def _runs(rows: dict[str, pa.Table]) -> dict[str, Counter[str]]:
    """`connN/sidM` → how its sequence numbers went wrong, by the oracle's words."""
    runs: dict[str, Counter[str]] = defaultdict(Counter)
    for event, cause, connection, sid, expected, got in values(
        rows["gaps"], "event", "cause", "connection", "sid", "expected", "got"
    ):
        if event == "opened" and cause == "sequence":
            run = runs[f"conn{connection}/sid{sid}"]
            run["gap_count" if got > expected else "dups" if got == expected - 1 else "regressions"] += 1
            run["missing"] += max(got - expected, 0)
    return runs
