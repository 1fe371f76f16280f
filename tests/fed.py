"""A builder fed frame by frame, and what it made, as plain Python values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
from recordings import Session

from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.schema import ROW_SCHEMAS
from kalshi_trio.protocol.signals import Signal

A, B = "KXTEST-26NOV24-A", "KXTEST-26NOV24-B"
SECOND = "2026-11-24T05:01:02"


def frame(kind: str, sid: int = 1, seq: int | None = None, /, **more: Any) -> bytes:
    """A frame as the exchange writes it, `msg` and `id` among `more`."""
    numbered = {} if seq is None else {"seq": seq}
    return msgspec.json.encode({"type": kind, "sid": sid, **numbered, **more}) + b"\n"


def snapshot(seq: int, market: str = A, *, sid: int = 1, own: int = 0, **sides: list[list[str]]) -> bytes:
    """A snapshot; `yes`, `no`: levels as texts, an absent side is an empty one."""
    msg = {"market_ticker": market, "market_id": "x"} | {f"{side}_dollars_fp": levels for side, levels in sides.items()}
    return frame("orderbook_snapshot", sid, seq, **({"id": own} if own else {}), msg=msg)


def delta(
    seq: int, price: str, count: str, side: str = "yes", market: str = A, *, sid: int = 1, at: str = ".1"
) -> bytes:
    """A delta of the instant `at` (a fraction of one second; empty: without a time)."""
    msg = {"market_ticker": market, "market_id": "x", "price_dollars": price, "delta_fp": count, "side": side}
    return frame("orderbook_delta", sid, seq, msg=msg | ({"ts": f"{SECOND}{at}Z"} if at else {}))


class Fed:
    """A session that wants the markets A and B; its connection 1 is open."""

    def __init__(self, *markets: str, **started: object) -> None:
        self.session = Session()
        self.builder = Builder("s")
        self.tables: dict[str, list[dict[str, Any]]] = {name: [] for name in ROW_SCHEMAS}
        self.warnings: list[str] = []
        self.signals: list[Signal] = []
        self.session.start(*(markets or (A, B)), **started)
        self.own("connection", 1, event="open")

    def own(self, *args: Any, **event: object) -> None:
        """Feeds a record of our own."""
        self.session.own(*args, **event)
        self._feed()

    def frames(self, *some: bytes, connection: int = 1) -> None:
        """Feeds frames that came in one read."""
        self.session.add("frame", connection, list(some))
        self._feed()

    def end(self) -> None:
        """Ends connection 1 and the session."""
        self.own("connection", 1, event="closed", final=True)
        self.own("session", event="ended", verdict="complete")

    def _feed(self) -> None:
        for records in self.session.records:
            if records.first > self.builder.state.frame:
                self.builder.feed(records)
        for made in self.builder.take():
            for name, table in made.rows().tables.items():
                table.validate(full=True)
                self.tables[name] += plain(table)
        notices, signals = self.builder.told()
        self.warnings += [notice.text for notice in notices if notice.level >= 30]
        self.signals += signals

    def rows(self, table: str, *columns: str) -> list[Any]:
        """These columns of all rows so far: tuples, or values if it is one column."""
        rows = [tuple(row[name] for name in columns) for row in self.tables[table]]
        return [row[0] for row in rows] if len(columns) == 1 else rows

    def took(self, table: str, *columns: str) -> list[Any]:
        """As `rows`, and forgets them."""
        rows = self.rows(table, *columns)
        self.tables[table].clear()
        return rows


def plain(table: pa.Table) -> list[dict[str, Any]]:
    """Rows with times as integers of their unit and decimals as texts."""
    numbers = table.cast(
        pa.schema([(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in table.schema])
    )
    return [
        {name: str(value) if isinstance(value, Decimal) else value for name, value in row.items()}
        for row in numbers.to_pylist()
    ]
