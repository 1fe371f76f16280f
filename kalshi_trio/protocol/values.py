"""A message's numbers in all field eras: decimal texts where they are given, else whole cents and contracts.

WireError where a number is missing or beyond what the tables hold.
"""

from __future__ import annotations

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.messages import Level
from kalshi_trio.protocol.numbers import COUNT_LIMIT_E2, NULL, PRICE_LIMIT_E4, TIME_LIMIT_US, Times, counts, prices

Levels = list[tuple[int, int]]
"""Price in 1/10,000 dollar and count in 1/100 contract."""


class Values:
    """Reads numbers and remembers what was read, since the same texts come again and again."""

    def __init__(self) -> None:
        self.prices = prices()
        self.counts = counts()
        self.times = Times()

    def cents(self, price: int | None) -> int:
        """1/10,000 dollar."""
        if price is None or not 0 <= price < PRICE_LIMIT_E4 // 100:
            raise WireError(f"price {price}")
        return price * 100

    def whole(self, count: int | None) -> int:
        """1/100 contract."""
        if count is None or abs(count) >= COUNT_LIMIT_E2 // 100:
            raise WireError(f"count {count}")
        return count * 100

    def price(self, text: str | None, cents: int | None) -> int:
        """1/10,000 dollar, NULL where neither is given."""
        if text is not None:
            return self.prices[text]
        return NULL if cents is None else self.cents(cents)

    def count(self, text: str | None, whole: int | None = None) -> int:
        """1/100 contract, NULL where neither is given."""
        if text is not None:
            return self.counts[text]
        return NULL if whole is None else self.whole(whole)

    def levels(self, exact: list[Level] | None, cents: list[tuple[int, int]] | None) -> Levels:
        """One side of a snapshot; `exact` has whole contracts in one era and decimals in the later ones."""
        if exact is not None:
            levels = [(self.prices[p], self.whole(n) if isinstance(n, int) else self.counts[n]) for p, n in exact]
        else:
            levels = [(self.cents(p), self.whole(n)) for p, n in cents or ()]
        for price, size in levels:
            if size < 0:
                raise WireError(f"level {size} at {price}")
        return levels

    def milliseconds(self, ts_ms: int | None, seconds: int | None = None) -> int:
        """Microseconds, NULL for no time, which a stamp of 0 means too."""
        us = ts_ms * 1000 if ts_ms else (seconds or 0) * 1_000_000
        if not 0 <= us < TIME_LIMIT_US:
            raise WireError(f"time {us} µs")
        return us or NULL
