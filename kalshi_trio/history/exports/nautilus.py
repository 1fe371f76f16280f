"""Books and trades as a catalog of nautilus_trader 1.221: `OrderBookDelta` and `TradeTick`, Parquet, a folder a market.

YES terms, as for the other tools: yes bids are BUY, no bids SELL at 1 dollar less their price. A market is the instrument
`TICKER.KALSHI` with 4 decimals of price and 2 of size, both as that tool's 128-bit fixed point (16 decimals), which its
packages for Linux and macOS are built with. A whole book is CLEAR and ADDs with F_SNAPSHOT, a hole is CLEAR. F_LAST
stands at the end of a book, and behind the last change of each instant of the exchange: inside one, books cross and
uncross. `sequence` is the exchange's number, `ts_init` the time of receipt, `ts_event` the exchange's, or that of receipt
where there is none.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from kalshi_trio.history.exports.spool import Spool
from kalshi_trio.history.exports.tape import Change, Deal, Event, Lost, Whole
from kalshi_trio.history.exports.target import safe
from kalshi_trio.protocol.book import ONE_DOLLAR_E4
from kalshi_trio.protocol.numbers import NULL

VENUE = "KALSHI"
ADD, UPDATE, DELETE, CLEAR = 1, 2, 3, 4
NO_SIDE, BUY, SELL = 0, 1, 2
F_SNAPSHOT, F_LAST = 32, 128
_FIXED = pa.binary(16)
_PIECE = 50_000
"""Rows a row group."""
_ID = 36
"""Bytes of a trade's id there; Kalshi's are UUIDs."""

_DELTA = np.dtype(
    [
        *(("action", "<u1"), ("side", "<u1"), ("flags", "<u1"), ("price", "<i8"), ("size", "<i8")),
        *(("sequence", "<u8"), ("ts_event", "<u8"), ("ts_init", "<u8")),
    ]
)
_TRADE = np.dtype(
    [
        *(("price", "<i8"), ("size", "<i8"), ("aggressor_side", "<u1"), ("trade_id", f"S{_ID}")),
        *(("ts_event", "<u8"), ("ts_init", "<u8")),
    ]
)
_PACK_DELTA = struct.Struct("<BBBqqQQQ").pack
_PACK_TRADE = struct.Struct(f"<qqB{_ID}sQQ").pack


def _schema(**kinds: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


SCHEMAS = {
    "order_book_delta": _schema(
        action=pa.uint8(),
        side=pa.uint8(),
        price=_FIXED,
        size=_FIXED,
        order_id=pa.uint64(),
        flags=pa.uint8(),
        sequence=pa.uint64(),
        ts_event=pa.uint64(),
        ts_init=pa.uint64(),
    ),
    "trade_tick": _schema(
        price=_FIXED,
        size=_FIXED,
        aggressor_side=pa.uint8(),
        trade_id=pa.string(),
        ts_event=pa.uint64(),
        ts_init=pa.uint64(),
    ),
}
"""Folder of the catalog → columns, as that tool's own files have them."""


@dataclass(slots=True)
class _Market:
    """One market under way; `last` is a change of which it is not known yet whether its instant is over."""

    init: int = 0
    last: tuple[int, int, int, int, int, int, int] | None = None
    instant: tuple[int, int] = (0, 0)


class Nautilus:
    """Blocking: takes events in order, makes a catalog in the folder `place`."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._deltas = Spool(place / ".deltas", _DELTA)
        self._trades = Spool(place / ".trades", _TRADE)
        self._markets: dict[str, _Market] = {}
        self.written = self._cut = 0

    @property
    def notes(self) -> dict[str, int]:
        """What is odd → how often."""
        return {f"{self._cut} trades' ids are cut to {_ID} bytes": self._cut}

    def take(self, event: Event) -> None:
        """The next event."""
        market = self._markets.setdefault(event.market, _Market())
        market.init = max(market.init, event.ts_recv)
        if isinstance(event, Change):
            self._change(market, event)
        elif isinstance(event, Deal):
            side = NO_SIDE if event.buy is None else BUY if event.buy else SELL
            self._cut += len(event.trade_id.encode()) > _ID
            row = (event.price_e4, event.count_e2, side, event.trade_id.encode()[:_ID])
            self._trades.add(event.market, _PACK_TRADE(*row, _ns(event), market.init))
        else:
            self._book(market, event)

    def end(self) -> Iterator[int]:
        """Writes the files, one a step."""
        for name, market in self._markets.items():
            self._last(name, market)
        spools = (("order_book_delta", self._deltas), ("trade_tick", self._trades))
        done = 0
        for folder, spool in spools:
            for name in sorted(spool.markets):
                rows = spool.rows(name)
                _write(self._place / "data" / folder, name, rows, SCHEMAS[folder])
                self.written += len(rows)
                done += 1
                yield done
            spool.remove()

    def _change(self, market: _Market, event: Change) -> None:
        instant = (event.connection, event.us)
        self._last(event.market, market, over=instant != market.instant or event.us == NULL)
        action = DELETE if not event.size_e2 else ADD if event.size_e2 == event.delta_e2 else UPDATE
        price = event.price_e4 if event.yes else ONE_DOLLAR_E4 - event.price_e4
        side = BUY if event.yes else SELL
        market.last = (action, side, price, event.size_e2, event.seq, _ns(event), market.init)
        market.instant = instant

    def _book(self, market: _Market, event: Whole | Lost) -> None:
        self._last(event.market, market)
        rows = [(CLEAR, NO_SIDE, 0, 0)]
        if isinstance(event, Whole):
            rows += [(ADD, BUY, price, size) for price, size in sorted(event.yes.items(), reverse=True)]
            rows += [(ADD, SELL, ONE_DOLLAR_E4 - price, size) for price, size in sorted(event.no.items(), reverse=True)]
        seq = event.seq if isinstance(event, Whole) else 0
        for number, (action, side, price, size) in enumerate(rows, 1):
            flags = F_SNAPSHOT * isinstance(event, Whole) | F_LAST * (number == len(rows))
            self._deltas.add(
                event.market, _PACK_DELTA(action, side, flags, price, size, seq, event.ts_recv, market.init)
            )

    def _last(self, name: str, market: _Market, *, over: bool = True) -> None:
        """Writes the change that waited."""
        if market.last is not None:
            action, side, *numbers = market.last
            self._deltas.add(name, _PACK_DELTA(action, side, F_LAST * over, *numbers))
            market.last = None


def _ns(event: Change | Deal) -> int:
    return event.us * 1_000 if event.us != NULL else event.ts_recv


def _write(folder: Path, market: str, rows: npt.NDArray[Any], schema: pa.Schema) -> None:
    """One market's file; its name says from when to when."""
    name = f"{safe(market)}.{VENUE}"
    folder = folder / name
    folder.mkdir(parents=True)
    first, last = (_moment(int(rows["ts_init"][at])) for at in (0, -1))
    about = {"instrument_id": name, "price_precision": "4", "size_precision": "2"}
    with pq.ParquetWriter(folder / f"{first}_{last}.parquet", schema.with_metadata(about), compression="zstd") as file:
        for at in range(0, len(rows), _PIECE):
            part = rows[at : at + _PIECE]
            file.write_table(pa.table([_column(part, field) for field in schema], schema=schema.with_metadata(about)))


def _column(rows: npt.NDArray[Any], field: pa.Field) -> pa.Array:
    if field.name == "order_id":  # levels are not orders: that tool's own id of a level is its price
        return pa.array(np.zeros(len(rows), "<u8"))
    values = np.ascontiguousarray(rows[field.name])
    if field.type == _FIXED:
        return _fixed(values, 4 if field.name == "price" else 2)
    if field.type == pa.string():
        return pa.array([text.decode(errors="replace") for text in values.tolist()])
    return pa.array(values, field.type)


def _fixed(values: npt.NDArray[np.int64], decimals: int) -> pa.Array:
    """Integers of 1/10 ** `decimals` as 16 bytes each, little-endian, of 1/10 ** 16: how Arrow holds such a decimal."""
    halves = np.empty((len(values), 2), "<i8")
    halves[:, 0], halves[:, 1] = values, values >> 63
    exact = pa.Array.from_buffers(pa.decimal128(22, decimals), len(values), [None, pa.py_buffer(halves)])
    return pa.Array.from_buffers(_FIXED, len(values), [None, exact.cast(pa.decimal128(38, 16)).buffers()[1]])


def _moment(ns: int) -> str:
    second, rest = divmod(ns, 10**9)
    return f"{datetime.datetime.fromtimestamp(second, datetime.UTC):%Y-%m-%dT%H-%M-%S}-{rest:09}Z"
