"""What `GET /markets/orderbooks` answers: books as REST writes them, read strictly.

Levels come in any order, sides that are empty as null, [] or not at all. A price or count with a digit that the tables
do not hold is refused, not rounded (REST may answer with 6 decimals).
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.decoder import BAD, too_deep
from kalshi_trio.protocol.numbers import COUNT_LIMIT_E2, PRICE_LIMIT_E4, scaled
from kalshi_trio.protocol.watch import Levels, flat

PATH = "/markets/orderbooks"
MOST = 100
"""Markets a request; `tickers` is repeated for each, since a list with commas is taken for one ticker."""


class RestBook(Struct):
    """Bids of both sides: price and count as texts."""

    yes_dollars: list[tuple[str, str]] | None = None
    no_dollars: list[tuple[str, str]] | None = None

    def levels(self) -> Levels:
        """In exact integers; WireError where a number is none, too fine or too large, or a price comes twice."""
        return flat(_side(self.yes_dollars), _side(self.no_dollars))


class _Entry(Struct):
    ticker: str
    orderbook_fp: RestBook


class _Answer(Struct):
    orderbooks: list[_Entry]


def books_in(body: str) -> dict[str, RestBook]:
    """Market → its book; WireError for anything that is no such answer."""
    if too_deep(body.encode()):
        raise WireError("nested too deeply")
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except BAD as error:
        raise WireError(str(error)) from error
    return {entry.ticker: entry.orderbook_fp for entry in answer.orderbooks}


def _side(listed: list[tuple[str, str]] | None) -> dict[int, int]:
    levels: dict[int, int] = {}
    for price, count in listed or ():
        price_e4, count_e2 = scaled(price, 4), scaled(count, 2)
        if not (0 <= price_e4 < PRICE_LIMIT_E4 and 0 <= count_e2 < COUNT_LIMIT_E2) or price_e4 in levels:
            raise WireError(f"level {count[:40]!r} at {price[:40]!r}")
        levels[price_e4] = count_e2
    return {price_e4: count_e2 for price_e4, count_e2 in levels.items() if count_e2}
