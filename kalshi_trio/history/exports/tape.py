"""What happened to the books, event by event, for tools that keep books of their own.

It is read off the builder, one frame at a time: a book is whole with its snapshot, changes with each delta that was
applied, and is lost where a hole opens, until its next snapshot. So what such a tool believes is never more than what
the rows say; deltas that were stored, but not applied, are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from kalshi_trio.journal.reading import Hole
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import ROW_SCHEMAS
from kalshi_trio.protocol.signals import BooksLost, BookWhole

Levels = dict[int, int]
"""Price in 1/10,000 dollar → size in 1/100 contract."""


class Lost(NamedTuple):
    """Nothing is known of this market's book from here on."""

    frame: int
    market: str
    ts_recv: int


class Whole(NamedTuple):
    """The whole book, bids of both sides. It has no exchange time."""

    frame: int
    market: str
    ts_recv: int
    seq: int
    yes: Levels
    no: Levels


class Change(NamedTuple):
    """One level's new size; `us` is the exchange's time, NULL if none. Stamps in ns, `us` in µs."""

    frame: int
    market: str
    ts_recv: int
    seq: int
    us: int
    connection: int
    yes: bool
    price_e4: int
    delta_e2: int
    size_e2: int


class Deal(NamedTuple):
    """A trade, in YES terms; `buy`: the taker bought YES, None if that was not said."""

    frame: int
    market: str
    ts_recv: int
    us: int
    trade_id: str
    price_e4: int
    count_e2: int
    buy: bool | None


Event = Lost | Whole | Change | Deal


class Tape:
    """Blocking: `feed` it the records behind those that `builder` has seen."""

    def __init__(self, builder: Builder, markets: frozenset[str]) -> None:
        self._builder = builder
        self._markets = markets
        self._live = {name for name, market in builder.state.markets.items() if market.valid}
        self.unapplied = 0
        """Deltas that changed no book: there was none, or it was lost."""

    def begin(self) -> list[Event]:
        """The books as they stand."""
        state = self._builder.state
        return [self._whole(state.frame, name, state.last_ns, 0) for name in sorted(self._live) if self._chosen(name)]

    def feed(self, found: Frames | Hole) -> list[Event]:
        """What these records did, in order."""
        if isinstance(found, Hole):
            self._builder.lost(found.last)
            return []
        events = [event for one in _singly(found.records) for event in self._one(one)]
        for made in self._builder.take():
            tables = made.rows().tables
            events = list(_numbered(events, tables.get("snapshots")))
            events += self._changes(tables.get("deltas", ROW_SCHEMAS["deltas"].empty_table()))
            events += self._deals(tables.get("trades", ROW_SCHEMAS["trades"].empty_table()))
        return sorted((one for one in events if self._chosen(one.market)), key=lambda event: event.frame)

    def _chosen(self, market: str) -> bool:
        return not self._markets or market in self._markets

    def _one(self, one: Records) -> list[Event]:
        builder, state = self._builder, self._builder.state
        holed, control, gaps = state.holed, state.tally.control, state.gaps_opened
        builder.feed(one)
        events: list[Event] = []
        doubt = holed or one.kind != "frame" or state.tally.control != control
        for signal in builder.told()[1]:
            if isinstance(signal, BookWhole):
                events.append(self._whole(one.first, signal.market, one.ts_recv, 0))
                self._live.add(signal.market)
            doubt = doubt or isinstance(signal, BooksLost)
        if doubt:
            gone = {name for name in self._live if not state.markets[name].valid}
            self._live -= gone
            if (
                one.kind == "frame" or state.gaps_opened != gaps
            ):  # else the session ends, and its books stay as they are
                events += [Lost(one.first, name, one.ts_recv) for name in sorted(gone)]
        return events

    def _whole(self, frame: int, name: str, ts_recv: int, seq: int) -> Whole:
        book = self._builder.state.markets[name].book
        return Whole(frame, name, ts_recv, seq, dict(book.yes.levels), dict(book.no.levels))

    def _changes(self, table: pa.Table) -> Iterator[Event]:
        valid = table["valid"].to_numpy()
        self.unapplied += len(valid) - int(valid.sum())
        rows = table.filter(pa.array(valid))
        yes = [side == "yes" for side in rows["side"].to_pylist()]
        columns = (_plain(rows, name) for name in ("frame", "market", "ts_recv", "seq", "ts_event", "connection"))
        return map(Change, *columns, yes, *(_plain(rows, name) for name in ("price", "delta", "size")))

    def _deals(self, rows: pa.Table) -> Iterator[Event]:
        takers = rows["taker_side"].to_pylist()
        buys = [None if taker not in ("yes", "no") else taker == "yes" for taker in takers]
        names = ("frame", "market", "ts_recv", "ts_event", "trade_id", "yes_price", "count")
        return map(Deal, *(_plain(rows, name) for name in names), buys)


def _singly(some: list[Records]) -> Iterator[Records]:
    """Each record by itself: only then it is known which of them did what."""
    for run in some:
        for number, data in enumerate(run.data, run.first):
            yield run._replace(first=number, data=(data,))


def _numbered(events: list[Event], snapshots: pa.Table | None) -> Iterator[Event]:
    """The same, books with the sequence numbers of their snapshots."""
    if snapshots is None:
        yield from events
        return
    numbers = dict(zip(snapshots["frame"].to_pylist(), snapshots["seq"].to_pylist(), strict=True))
    for event in events:
        yield event._replace(seq=numbers.get(event.frame, 0)) if isinstance(event, Whole) else event


def _plain(table: pa.Table, name: str) -> list[Any]:
    """A column as Python values; decimals in their own unit, times as integers, NULL where there is none."""
    column = table[name].combine_chunks()
    if pa.types.is_string(column.type):
        return list(column.to_pylist())
    if pa.types.is_decimal(column.type):
        halves = np.frombuffer(column.buffers()[1] or b"", "<i8")[2 * column.offset :: 2][: len(column)]
        return list(halves.tolist())
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64()).fill_null(NULL)
    return list(column.to_numpy().tolist())
