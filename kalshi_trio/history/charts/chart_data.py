"""The numbers of a chart: one market over a span of a session, from the builder's rows, a piece of the journal at a time."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kalshi_trio.fold import feed
from kalshi_trio.history.book.books import SessionBooks
from kalshi_trio.history.charts.bins import Columns, Floats, Line, Resting
from kalshi_trio.journal.reading import Hole, read_around, read_session
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.book import ONE_DOLLAR_E4
from kalshi_trio.protocol.schema import RowBatch

COLUMNS = 900
Change = tuple[int, Callable[[], None]]
"""The record that changed the book, and how."""


class Trades(NamedTuple):
    """Trades of one column at one YES price, by the side that took."""

    column: int
    price: int
    taker: str | None


class ChartData(NamedTuple):
    """All that is drawn. `heat`: YES price → mean resting contracts by column; `valid`: share of each column's time.

    `trades`: contracts, in 1/100. `causes`: of the holes that opened in the span.
    """

    session: str
    market: str
    columns: Columns
    heat: dict[int, Floats]
    valid: Floats
    bid: Line
    ask: Line
    trades: Counter[Trades]
    causes: Counter[str]

    @property
    def holes(self) -> list[tuple[int, int]]:
        """Runs of columns (first, behind the last) in which the book was not valid all the time."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], self.valid < 1 - 1e-9, [0]])))
        return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


class Chart:
    """Blocking: gathers the chart of `market` over the records `first`..`last` of a session.

    `start_ns`, `end_ns`: where the time axis begins and ends, None for the times of these records. Raises UsageError for
    a market that the session does not know.
    """

    def __init__(
        self,
        books: SessionBooks,
        market: str,
        span: tuple[int, int],
        times: tuple[int | None, int | None] = (None, None),
        columns: int = COLUMNS,
    ) -> None:
        self._span = span
        self._folder, self._session, self._market = books.folder, books.session, market
        before = books.at(market, span[0] - 1)
        self._builder = books.builder
        start, end = (self._time(frame) if ns is None else ns for frame, ns in zip(span, times, strict=True))
        self._columns = Columns(start, end, columns)
        state = self._builder.state.markets.get(market)
        yes, _, no, _ = (state and state.said) or (0, 0, 0, 0)
        self._bid = Line(self._columns, yes or None)
        self._ask = Line(self._columns, ONE_DOLLAR_E4 - no if no else None)
        self._resting = Resting(self._columns)
        self._before = (before.valid, state.snapshots if state else 0)
        if state and before.valid:
            self._resting.replace(state.book.yes.levels, state.book.no.levels, start)
        self._trades: Counter[Trades] = Counter()
        self._causes: Counter[str] = Counter()

    def steps(self) -> Iterator[int]:
        """How many records of the span are done, after some thousand each time."""
        first, last = self._span
        for found in read_around(self._folder, first - 1, last):
            self._piece(found)
            yield self._builder.state.frame - first + 1

    def data(self) -> ChartData:
        """What was gathered, once all steps are taken."""
        self._resting.end()
        self._bid.end()
        self._ask.end()
        gathered = (self._resting.means(), self._resting.valid(), self._bid, self._ask, self._trades, self._causes)
        return ChartData(self._session, self._market, self._columns, *gathered)

    def _time(self, frame: int) -> int:
        found = next(read_session(self._folder, frame - 1, frame), None)
        return found.records[0].ts_recv if found else self._builder.state.last_ns

    def _piece(self, found: Frames | Hole) -> None:
        turns = deque(self._turns(found))
        for made in self._builder.take():
            rows = made.rows()
            for _, change in heapq.merge(self._deltas(rows), _through(turns, rows.hi), key=itemgetter(0)):
                change()
            self._others(rows)
        self._builder.told()

    def _turns(self, found: Frames | Hole) -> Iterator[Change]:
        """Feeds the builder; where a snapshot came, or the book ceased to be valid, takes over what is there behind it."""
        builder, state = self._builder, self._builder.state
        for run in found.records if isinstance(found, Frames) else (found,):
            if isinstance(run, Hole):
                feed(builder, run)
            else:
                builder.feed(run)
            market = state.markets.get(self._market)
            now = (market is not None and market.valid and not state.holed, market.snapshots if market else 0)
            if now != self._before:
                self._before = now
                if market is not None and now[0]:
                    book = (dict(market.book.yes.levels), dict(market.book.no.levels))
                    yield state.frame, partial(self._resting.replace, *book, state.last_ns)
                else:
                    yield state.frame, partial(self._resting.lost, state.last_ns)

    def _deltas(self, rows: RowBatch) -> Iterator[Change]:
        for frame, ns, side, price, size in self._of(rows, "deltas", "frame", "ts_recv", "side", "price", "size"):
            if size is not None:
                yield frame, partial(self._resting.level, side, price, size, ns)

    def _others(self, rows: RowBatch) -> None:
        for ns, bid, ask in self._of(rows, "top_of_book", "book_ts_recv", "bid", "ask"):
            self._bid.set(bid, ns)
            self._ask.set(ask, ns)
        for ns, price, count, taker in self._of(rows, "trades", "ts_recv", "yes_price", "count", "taker_side"):
            self._trades[Trades(self._columns.at(ns), price, taker)] += count
        gaps = rows.tables.get("gaps")
        if gaps is not None:
            for event, cause, markets in zip(*map(_plain, gaps.select(("event", "cause", "markets"))), strict=True):
                if event == "opened" and self._market in markets:
                    self._causes[cause] += 1

    def _of(self, rows: RowBatch, table: str, *columns: str) -> Iterator[tuple[Any, ...]]:
        """This market's rows: times as nanoseconds, decimals in their own unit."""
        found = rows.tables.get(table)
        if found is None:
            return iter(())
        mine = found.filter(pc.equal(found["market"], self._market)).select(columns)
        return zip(*map(_plain, mine), strict=True)


def _through(turns: deque[Change], frame: int) -> Iterator[Change]:
    while turns and turns[0][0] <= frame:
        yield turns.popleft()


def _plain(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_decimal(column.type):
        scale = 10**column.type.scale
        return [None if value is None else int(value * scale) for value in column.to_pylist()]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return list(column.to_pylist())
