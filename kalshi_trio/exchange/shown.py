"""Books as the frames sent so far show them, for exchanges that have nothing but frames. All field eras.

Written apart from the recorder's, which it is to test: decimals and plain dictionaries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from kalshi_trio.exchange.market import SIDES, Book
from kalshi_trio.exchange.tally import kind_of


class ShownBooks:
    """Frames are put down as they are sent and read when somebody asks, since mostly nobody does."""

    def __init__(self) -> None:
        self._books: dict[str, Book] = {}
        self._unread: list[bytes] = []

    def begin(self) -> None:
        """A new connection: its snapshots are to come."""
        self._books.clear()
        self._unread.clear()

    def sent(self, frames: Iterable[bytes]) -> None:
        """These were sent."""
        self._unread += frames

    def book(self, ticker: str) -> Book | None:
        """The market's book, None before its first snapshot."""
        for frame in self._unread:
            if kind_of(frame) in {"orderbook_snapshot", "orderbook_delta"}:
                self._read(frame)
        self._unread.clear()
        return self._books.get(ticker)

    def _read(self, frame: bytes) -> None:
        try:
            message = json.loads(frame)
            msg = message["msg"]
            if message["type"] == "orderbook_snapshot":
                self._books[msg["market_ticker"]] = _snapshot(msg)
            elif (book := self._books.get(msg["market_ticker"])) is not None:
                price = _number(msg, "price_dollars", 10_000, "price", 100)
                book.apply(msg["side"], price, _number(msg, "delta_fp", 100, "delta", 100))
        except (ValueError, KeyError, TypeError, InvalidOperation):  # a recording may hold anything
            return


def _snapshot(msg: dict[str, Any]) -> Book:
    book = Book()
    for side in SIDES:
        exact = msg.get(f"{side}_dollars_fp") or msg.get(f"{side}_dollars")
        for price, count in exact or msg.get(side) or ():
            price_e4 = int(Decimal(price) * 10_000) if exact else price * 100
            book.apply(side, price_e4, int(Decimal(count) * 100))
    return book


def _number(msg: dict[str, Any], exact: str, factor: int, whole: str, each: int) -> int:
    return int(Decimal(msg[exact]) * factor) if exact in msg else msg[whole] * each
