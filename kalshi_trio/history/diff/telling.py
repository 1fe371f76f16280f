"""One session as it is compared: its changes and trades by market and time of the exchange, its book after each instant."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kalshi_trio.history.replay.refold import Refold
from kalshi_trio.history.replay.retelling import story_of
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.protocol.schema import RowBatch

Key = tuple[str, int]
"""Market, and microseconds of the exchange."""
Change = tuple[int, int, int]
"""Side (1: NO), price in 1/10,000 dollar, contracts in 1/100."""


@dataclass(slots=True)
class Instant:
    """One market at one time of the exchange. `book` is a hash of all levels afterwards, if that book was `valid`.

    `changes` are counted connection by connection: two that brought the same market brought each of them twice.
    """

    changes: dict[int, Counter[Change]] = field(default_factory=lambda: defaultdict(Counter))
    book: int = 0
    valid: bool = False

    def told(self) -> Counter[Change]:
        """The changes, each as often as one connection brought it."""
        first, *others = self.changes.values()
        for other in others:
            first = first | other
        return first


@dataclass(slots=True)
class Trade:
    """When and where."""

    market: str
    us: int


@dataclass(slots=True)
class Hole:
    """A hole as the session's rows have it; `healed`: market → when. Times in nanoseconds of receipt."""

    cause: str
    channel: str | None
    markets: list[str]
    opened_at: int
    healed: dict[str, int] = field(default_factory=dict)

    @property
    def healed_at(self) -> int:
        """When all of it was, 0 if it is not."""
        return max(self.healed.values(), default=0) if len(self.healed) >= len(self.markets) else 0


class Telling:
    """Blocking: reads a session's journal piece by piece; `instants`, `timeless` and `trades` are emptied by others."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.instants: dict[Key, Instant] = {}
        self.timeless: dict[str, dict[int, Counter[Change]]] = defaultdict(lambda: defaultdict(Counter))
        """Market → changes without a time, of the whole session."""
        self.trades: dict[str, Trade] = {}
        self.holes: dict[tuple[int, str, str | None], Hole] = {}
        self.first_us = self.clock_us = 0
        """The first and the latest time of the exchange so far."""
        self.lag_ns = 2**62
        """The shortest way from the exchange to the recorder, and what their clocks differ."""
        self.over = False
        self._refold = Refold(*story_of(folder, manifest))
        self._books: dict[str, int] = defaultdict(int)
        self._homes: dict[str, int] = {}
        """Market → the connection that its book is from."""

    @property
    def frame(self) -> int:
        """The last record that was read."""
        return self._refold.frame

    def read(self) -> None:
        """The next piece, or `over`."""
        found = self._refold.read()
        if found is None:
            self.over = True
            return
        for batch in self._refold.rows(found):
            self._take(batch)

    def _take(self, batch: RowBatch) -> None:
        self._times(batch)
        rows: list[Iterator[tuple[Any, ...]]] = [_snapshots(batch), _deltas(batch)]
        for _, market, connection, *what in heapq.merge(*rows, key=itemgetter(0)):
            if len(what) == 1:
                self._books[market], self._homes[market] = what[0], connection
            else:
                self._delta(market, connection, *what)
        for trade_id, market, us in _columns(batch, "trades", "trade_id", "market", "ts_event"):
            if trade_id:
                self.trades.setdefault(trade_id, Trade(market, us or 0))
        names = ("event", "gap_frame", "cause", "channel", "markets", "opened_at", "healed_at")
        for event, frame, cause, channel, markets, opened_at, healed_at in _columns(batch, "gaps", *names):
            hole = self.holes.setdefault((frame, cause, channel), Hole(cause, channel, markets, opened_at))
            if event == "healed":
                hole.healed |= dict.fromkeys(markets, healed_at)

    def _times(self, batch: RowBatch) -> None:
        for name in ("deltas", "trades", "tickers"):
            if name in batch.tables:
                events = batch.tables[name]["ts_event"].cast(pa.int64()).to_numpy()
                known = ~np.isnan(events) if events.dtype.kind == "f" else np.ones(len(events), bool)
                if known.any():
                    events = events[known].astype("i8")
                    received = batch.tables[name]["ts_recv"].cast(pa.int64()).to_numpy()[known]
                    self.lag_ns = min(self.lag_ns, int((received - events * 1_000).min()))
                    self.first_us = min(self.first_us or 2**62, int(events.min()))
                    self.clock_us = max(self.clock_us, int(events.max()))

    def _delta(self, market: str, connection: int, change: Change, us: int | None, size: int | None) -> None:
        side, price, delta = change
        if size is not None:
            before = size - delta
            book = self._books[market]
            book ^= hash((side, price, before)) if before else 0
            self._books[market] = book ^ (hash((side, price, size)) if size else 0)
        if us is None:
            self.timeless[market][connection][change] += 1
            return
        instant = self.instants.get((market, us))
        if instant is None:
            instant = self.instants[market, us] = Instant()
        instant.changes[connection][change] += 1
        if size is not None:
            instant.book, instant.valid = self._books[market], True
        elif connection == self._homes.get(market):
            instant.valid = False


def _snapshots(batch: RowBatch) -> Iterator[tuple[int, str, int, int]]:
    """A row a snapshot, with the hash of its book."""
    rows = _columns(batch, "snapshots", "frame", "market", "connection", "side", "price", "size")
    for (frame, market, connection), levels in groupby(rows, key=itemgetter(0, 1, 2)):
        book = 0
        for _, _, _, side, price, size in levels:
            if size:
                book ^= hash((int(side == "no"), price, size))
        yield frame, market, connection, book


def _deltas(batch: RowBatch) -> Iterator[tuple[int, str, int, Change, int | None, int | None]]:
    names = ("frame", "market", "connection", "side", "price", "delta", "ts_event", "size")
    for frame, market, connection, side, price, delta, us, size in _columns(batch, "deltas", *names):
        yield frame, market, connection, (int(side == "no"), price, delta), us, size


def _columns(batch: RowBatch, table: str, *names: str) -> Iterator[tuple[Any, ...]]:
    rows = batch.tables.get(table)
    return zip(*(_values(rows[name]) for name in names), strict=True) if rows is not None else iter(())


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Plain values: decimals in their own unit, times as integers."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_decimal(kind):
        array = column.combine_chunks()
        halves = np.frombuffer(array.buffers()[1], "<i8")[2 * array.offset :: 2][: len(array)].tolist()
        return [half if there else None for half, there in zip(halves, array.is_valid().to_pylist(), strict=True)]
    found: list[Any] = column.to_pylist()
    return found
