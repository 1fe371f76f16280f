"""One generated market: a book that behaves, in exact integers. Pure: randomness and time are arguments."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

ONE_DOLLAR_E4 = 10_000


class Change(NamedTuple):
    """One level changed at one instant of the exchange."""

    ticker: str
    side: str
    price_e4: int
    delta_e2: int
    ts_us: int


class Execution(NamedTuple):
    """A trade; its contracts are in the changes beside it."""

    ticker: str
    yes_price_e4: int
    count_e2: int
    taker_side: str
    ts_us: int


class Closed(NamedTuple):
    """The market closed: its book is empty from now on."""

    ticker: str


Event = Change | Execution | Closed
SIDES = ("yes", "no")


class Book:
    """Resting contracts by price, side by side: written apart from the recorder's book, which it is to test."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[int, int]] = {side: {} for side in SIDES}

    def best(self, side: str) -> int:
        """The highest bid of a side, 0 if it is empty."""
        return max(self.sides[side], default=0)

    def apply(self, side: str, price_e4: int, delta_e2: int) -> None:
        """Changes one level."""
        levels = self.sides[side]
        size = levels.pop(price_e4, 0) + delta_e2
        if size:
            levels[price_e4] = size


class Market:
    """A market around a wandering fair price. Half of them have a fine grid near the edges and fractional contracts."""

    def __init__(self, ticker: str, random: Random) -> None:
        self.ticker = ticker
        self.book = Book()
        self.open = True
        self.volume_e2 = 0
        self.last_price_e4 = 0
        self._random = random
        self._fine = random.random() < 0.5
        self._fair = random.randrange(1500, 8500)
        for side, fair in (("yes", self._fair), ("no", ONE_DOLLAR_E4 - self._fair)):
            for step in range(1, random.randrange(8, 30)):
                self.book.sides[side][self._grid(fair - 100 * step)] = self._size()

    def _grid(self, price: int) -> int:
        price = max(10, min(ONE_DOLLAR_E4 - 10, price))
        step = 10 if self._fine and not 1000 <= price <= 9000 else 100
        return max(step, price // step * step)

    def _size(self) -> int:
        whole = int(self._random.paretovariate(0.8)) * self._random.choice((1, 5, 10, 100)) % 50_000 + 1
        return whole * 100 + (self._random.randrange(100) if self._fine and self._random.random() < 0.1 else 0)

    def instant(self, ts_us: int) -> list[Event]:
        """What happens at one instant: one to a dozen changes, after which the book is not crossed."""
        if not self.open:
            return []
        random = self._random
        self._fair = max(300, min(9700, self._fair + random.randrange(-30, 31)))
        events: list[Event] = []
        for _ in range(min(12, 1 + int(random.expovariate(1.2)))):
            dice = random.random()
            if dice < 0.08:
                events += self._trade(ts_us)
            elif dice < 0.10:
                events += self._cross(ts_us)
            else:
                events += self._quote(ts_us)
        return events

    def _quote(self, ts_us: int) -> list[Event]:
        """Somebody adds or takes back contracts near the top; never across the other side."""
        random = self._random
        side = random.choice(SIDES)
        levels, best_other = self.book.sides[side], self.book.best("no" if side == "yes" else "yes")
        if levels and random.random() < 0.48:
            price = random.choice(sorted(levels)[-12:])
            gone = levels[price] if random.random() < 0.6 else max(1, levels[price] // 2)
            return [self._apply(side, price, -gone, ts_us)]
        fair = self._fair if side == "yes" else ONE_DOLLAR_E4 - self._fair
        price = self._grid(fair - int(random.expovariate(1 / 400)))
        if price + best_other >= ONE_DOLLAR_E4:
            return []
        return [self._apply(side, price, self._size(), ts_us)]

    def _trade(self, ts_us: int) -> list[Event]:
        """A taker hits the best bid of one side."""
        side = self._random.choice(SIDES)
        price = self.book.best(side)
        if not price:
            return []
        resting = self.book.sides[side][price]
        count = resting if self._random.random() < 0.4 else max(1, resting // 3)
        yes_price = price if side == "yes" else ONE_DOLLAR_E4 - price
        self.volume_e2 += count
        self.last_price_e4 = yes_price
        taker = "no" if side == "yes" else "yes"
        return [self._apply(side, price, -count, ts_us), Execution(self.ticker, yes_price, count, taker, ts_us)]

    def _cross(self, ts_us: int) -> list[Event]:
        """A bid through the other side's best: shown first, matched in the same instant."""
        best = self.book.best("yes")
        if best < 200:
            return []
        yes = self.book.sides["yes"]
        resting = yes[best]
        against = self._grid(ONE_DOLLAR_E4 - best + 100)
        if against + best <= ONE_DOLLAR_E4 or any(p + against > ONE_DOLLAR_E4 for p in yes if p != best):
            return []
        self.volume_e2 += resting
        self.last_price_e4 = best
        return [
            self._apply("no", against, resting, ts_us),
            self._apply("yes", best, -resting, ts_us),
            self._apply("no", against, -resting, ts_us),
            Execution(self.ticker, best, resting, "no", ts_us),
        ]

    def close(self) -> list[Event]:
        """The market's end."""
        self.open = False
        self.book = Book()
        return [Closed(self.ticker)]

    def _apply(self, side: str, price: int, delta: int, ts_us: int) -> Change:
        self.book.apply(side, price, delta)
        return Change(self.ticker, side, price, delta, ts_us)
