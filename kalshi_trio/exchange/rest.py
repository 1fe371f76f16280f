"""The exchange's REST, as far as a recorder's audits need it: `GET /markets/orderbooks`, true or, on request, not."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qs, urlsplit

import trio

from kalshi_trio.exchange.gate import Gate
from kalshi_trio.exchange.http import Request, Response, refused
from kalshi_trio.exchange.lies import Lies
from kalshi_trio.exchange.market import Book
from kalshi_trio.protocol.auth import KEY, SIGNATURE, STAMP
from kalshi_trio.protocol.numbers import count_text, price_text

ROOT = "/trade-api/v2"
BOOKS = f"{ROOT}/markets/orderbooks"
MOST = 100
REMEMBERED = 10_000


@runtime_checkable
class Books(Protocol):
    """A show that knows its books."""

    def book(self, ticker: str) -> Book | None:
        """The market's book as it is now, None for a market that nobody knows."""


@dataclass
class RestDesk:
    """Answers requests about the books of `show`. Market data need no signature; one that is given must be good."""

    show: object
    gate: Gate | None = None
    lies: Lies | None = None
    delay: float = 0.0
    """Seconds between the book's state and its answer."""
    failures: list[Response] = field(default_factory=list)
    """Answers for the next requests, whatever they ask."""
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    async def answer(self, request: Request) -> Response:
        """The answer to one request."""
        self.requests.append(request)
        response = self._answer(request)
        await trio.sleep(self.delay)
        return response

    def _answer(self, request: Request) -> Response:
        if self.failures:
            return self.failures.pop(0)
        parts = urlsplit(request.target)
        signed = {name: request.headers.get(name, "") for name in (KEY, STAMP, SIGNATURE)}
        if self.gate is not None and any(signed.values()):
            refusal = self.gate.judge(signed, parts.path, self.wall_ms())
            if refusal is not None:
                return Response(*refusal)
        if parts.path != BOOKS:
            return refused(404, "not_found")
        if request.method != "GET":
            return refused(405, "method_not_allowed")
        return self._books(parse_qs(parts.query).get("tickers", []))

    def _books(self, tickers: list[str]) -> Response:
        """An entry for each ticker, in their order; one that nobody knows has an empty book."""
        if not 1 <= len(tickers) <= MOST:
            return refused(400, "invalid_parameters")
        if not isinstance(self.show, Books):
            return refused(501, "frames_made_beforehand_have_no_books")
        entries = [self._entry(ticker, self.show.book(ticker)) for ticker in tickers]
        return Response(200, f'{{"orderbooks":[{",".join(entries)}]}}'.encode())

    def _entry(self, ticker: str, book: Book | None) -> str:
        if book is not None and self.lies is not None:
            book = self.lies.shown(ticker, book)
        sides = book.sides if book is not None else {"yes": {}, "no": {}}
        listed = ",".join(f'"{side}_dollars":[{_levels(levels)}]' for side, levels in sides.items())
        return f'{{"ticker":{json.dumps(ticker)},"orderbook_fp":{{{listed}}}}}'


def _levels(levels: dict[int, int]) -> str:
    return ",".join(f'["{price_text(price)}","{count_text(levels[price])}"]' for price in sorted(levels))
