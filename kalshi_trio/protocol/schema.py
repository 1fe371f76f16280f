"""The tables, once: every sink, digest and query takes names, order, types and nullability from here.

Prices are `decimal(9,4)` dollars, counts `decimal(18,2)` contracts. A `RowBatch` leaves `session` and `date` out, since
they are the same for all its rows; sinks put them back at their places.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

PRICE = pa.decimal128(9, 4)
COUNT = pa.decimal128(18, 2)
RECEIVED = pa.timestamp("ns", tz="UTC")
EXCHANGE = pa.timestamp("us", tz="UTC")
TEXTS = pa.list_(pa.field("item", pa.string(), nullable=False))


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name.removesuffix("?"), kind, nullable=name.endswith("?"))


def _schema(**columns: pa.DataType) -> pa.Schema:
    common = {
        "session": pa.string(),
        "frame": pa.uint64(),
        "row": pa.uint32(),
        "date": pa.date32(),
        "ts_recv": RECEIVED,
        "ts_event?": EXCHANGE,
        "connection": pa.uint32(),
        "sid": pa.uint32(),
        "seq": pa.uint64(),
    }
    return pa.schema([_field(name, kind) for name, kind in (common | columns).items()])


TABLES: dict[str, pa.Schema] = {
    "deltas": _schema(
        market=pa.string(), side=pa.string(), price=PRICE, delta=COUNT, **{"size?": COUNT}, valid=pa.bool_()
    ),
    "snapshots": _schema(
        market=pa.string(), levels=pa.uint32(), **{"side?": pa.string(), "price?": PRICE, "size?": COUNT}
    ),
    "trades": _schema(
        market=pa.string(),
        trade_id=pa.string(),
        yes_price=PRICE,
        no_price=PRICE,
        count=COUNT,
        **{"taker_side?": pa.string()},
        block=pa.bool_(),
        fetched=pa.bool_(),
    ),
    "tickers": _schema(
        market=pa.string(),
        **{
            "price?": PRICE,
            "yes_bid?": PRICE,
            "yes_ask?": PRICE,
            "yes_bid_size?": COUNT,
            "yes_ask_size?": COUNT,
            "last_trade_size?": COUNT,
            "volume?": COUNT,
            "open_interest?": COUNT,
            "dollar_volume?": pa.int64(),
            "dollar_open_interest?": pa.int64(),
        },
    ),
    "lifecycle": _schema(
        kind=pa.string(),
        **{"event_type?": pa.string(), "market?": pa.string(), "event_ticker?": pa.string()},
        payload=pa.string(),
    ),
    "top_of_book": _schema(
        market=pa.string(),
        book_frame=pa.uint64(),
        book_ts_recv=RECEIVED,
        **{"bid?": PRICE, "bid_size?": COUNT, "ask?": PRICE, "ask_size?": COUNT},
        valid=pa.bool_(),
    ),
    "gaps": _schema(
        event=pa.string(),
        gap_frame=pa.uint64(),
        cause=pa.string(),
        **{"channel?": pa.string(), "expected?": pa.uint64(), "got?": pa.uint64()},
        markets=TEXTS,
        opened_at=RECEIVED,
        **{"healed_at?": RECEIVED},
    ),
    "sessions": _schema(
        event=pa.string(),
        source=pa.string(),
        software=pa.string(),
        settings=pa.string(),
        markets=TEXTS,
        **{"verdict?": pa.string()},
    ),
    "audits": _schema(
        market=pa.string(),
        verdict=pa.string(),
        **{"reason?": pa.string()},
        request_frame=pa.uint64(),
        **{"answer_frame?": pa.uint64(), "book_frame?": pa.uint64()},
        states=pa.uint32(),
        **{"levels?": pa.uint64(), "differing?": pa.uint64(), "status?": pa.uint64()},
        asked_at=RECEIVED,
        **{"sent_at?": RECEIVED, "answered_at?": RECEIVED},
    ),
}
"""Name of a table → all its columns in order, `session` and `date` included."""

CONSTANT = ("session", "date")
"""Columns that are the same for all rows of one batch and stand beside it instead."""

ROW_SCHEMAS: dict[str, pa.Schema] = {
    name: pa.schema([field for field in schema if field.name not in CONSTANT]) for name, schema in TABLES.items()
}
"""The columns of a table as a `RowBatch` carries them."""


class RowBatch(NamedTuple):
    """All rows that the records `lo`..`hi` of one session make, in tables that have any.

    `lo`..`hi` covers records without rows too: consecutive batches leave no hole. All rows were received on `date`
    (UTC). `tables[name]` has the schema `ROW_SCHEMAS[name]`, rows ordered by (frame, row). `frames`: data frames.
    """

    session: str
    lo: int
    hi: int
    date: datetime.date
    tables: dict[str, pa.Table]
    frames: int
    nbytes: int
    ts_first: int
    ts_last: int

    def beyond(self, frame: int) -> RowBatch:
        """The part after record `frame`; the batch itself if all of it is."""
        if frame < self.lo:
            return self
        tables = {name: beyond(table, frame) for name, table in self.tables.items()}
        kept = {name: table for name, table in tables.items() if table.num_rows}
        return self._replace(lo=frame + 1, tables=kept, nbytes=sum(table.nbytes for table in kept.values()))

    @property
    def rows(self) -> int:
        """How many rows all tables have together."""
        return sum(table.num_rows for table in self.tables.values())


def beyond(rows: pa.Table, after: int) -> pa.Table:
    """The rows of frames behind `after`; they are in order of their frames, so a slice does. Nothing is copied."""
    start = np.searchsorted(rows["frame"].to_numpy(), np.uint64(after), side="right")
    return rows.slice(int(start)) if start else rows
