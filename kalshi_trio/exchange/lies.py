"""Wrong answers on request: a REST that shows a book otherwise than it is. Pure: the count and a seed decide all."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from kalshi_trio.exchange.market import SIDES, Book

CONTRACT_E2 = 100


class Lie(NamedTuple):
    """One level of a market's book, shown with a contract too many."""

    ticker: str
    side: str
    price_e4: int


class Lies:
    """Changes one level of every book whose turn it is: the first is number 0, every `every`-th follows; at most `most`."""

    def __init__(self, every: int, *, first: int = 0, most: int | None = None, seed: int = 0) -> None:
        self._every, self._first, self._most = every, first, most
        self._random = Random(seed)  # noqa: S311  plausible, not secret
        self._shown = 0
        self.told: list[Lie] = []

    def shown(self, ticker: str, book: Book) -> Book:
        """The book as it is to be shown; the book itself is not changed."""
        number, self._shown = self._shown, self._shown + 1
        turn = number >= self._first and (number - self._first) % self._every == 0
        if not turn or (self._most is not None and len(self.told) >= self._most):
            return book
        false = Book()
        for side, levels in book.sides.items():
            false.sides[side].update(levels)
        side = self._random.choice(SIDES)
        price = self._random.choice(sorted(false.sides[side]) or [100])
        false.apply(side, price, CONTRACT_E2)
        self.told.append(Lie(ticker, side, price))
        return false
