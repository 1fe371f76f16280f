"""One generated market: a book that behaves, in exact integers. Pure: randomness and time are arguments."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

ONE_DOLLAR_E4 = 10_000
SIDES = ("yes", "no")
DEEPEST = 45
"""Levels a side, at most; real books of busy markets have 20 to 90."""


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
    trade_id: int
    yes_price_e4: int
    count_e2: int
    taker_side: str
    ts_us: int


class Quote(NamedTuple):
    """What a ticker message says; prices and sizes are 0 where a side is empty."""

    ticker: str
    last_price_e4: int
    last_count_e2: int
    bid_e4: int
    bid_e2: int
    no_bid_e4: int
    no_bid_e2: int
    volume_e2: int
    ts_us: int


class Whole(NamedTuple):
    """The exchange sends the market's book unasked: it does so, empty, when a market closes."""

    ticker: str


class Told(NamedTuple):
    """A message of the lifecycle channel: its type, its market or event, and the rest of its `msg` as JSON members."""

    kind: str
    subject: str
    members: str


Event = Change | Execution | Quote | Whole | Told


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

    def crossed(self) -> bool:
        """Whether somebody bids what somebody else asks, or more: never at the end of an instant."""
        yes, no = self.best("yes"), self.best("no")
        return bool(yes and no and yes + no >= ONE_DOLLAR_E4)


class Market:
    """A market around a wandering fair price; a `fine` one has 0.1 cent steps near the edges and parts of contracts."""

    def __init__(self, ticker: str, random: Random, *, fine: bool = True) -> None:
        self.ticker = ticker
        self.book = Book()
        self.open = True
        self.volume_e2 = 0
        self.last_price_e4 = self.last_count_e2 = 0
        self.quoted = False
        """Whether a ticker message has told the book as it is."""
        self._random = random
        self._fine = fine
        self._fair = random.randrange(500, 9500) // 100 * 100
        for side in SIDES:
            for depth in range(1, random.randrange(8, 30)):
                price = self._grid(self._fair_of(side) - 100 * depth)
                if price:
                    self.book.sides[side][price] = self._size()

    def _fair_of(self, side: str) -> int:
        return self._fair if side == "yes" else ONE_DOLLAR_E4 - self._fair

    def _grid(self, price_e4: int) -> int:
        """The tick at or below it; 0 where there is none."""
        step = 10 if self._fine and not 1000 < price_e4 < 9000 else 100
        return max(0, min(ONE_DOLLAR_E4 - step, price_e4 // step * step))

    def _size(self) -> int:
        random = self._random
        whole = 1 + int(random.paretovariate(0.8)) * random.choice((1, 5, 10, 100)) % 50_000
        return whole * 100 + (random.randrange(100) if self._fine and random.random() < 0.1 else 0)

    def instant(self, ts_us: int) -> list[Event]:
        """What happens at one instant: mostly one change, at times fifty; the book is not crossed afterwards."""
        random = self._random
        self._fair = max(150, min(9850, self._fair + int(random.gauss(0, 12))))
        events: list[Event] = []
        for _ in range(_together(random)):
            dice = random.random()
            act = self._trade if dice < 0.05 else self._cross if dice < 0.053 else self._order
            events += act(ts_us)
        self.quoted = self.quoted and not events
        return events

    def _order(self, ts_us: int) -> list[Event]:
        """Somebody adds or takes back contracts, mostly near the top; never across the other side."""
        random = self._random
        side, other = SIDES if random.random() < 0.5 else SIDES[::-1]
        levels = self.book.sides[side]
        if levels and random.random() < len(levels) / DEEPEST:
            price = sorted(levels)[-1 - int(random.expovariate(0.2)) % len(levels)]
            gone = levels[price] if random.random() < 0.6 else _part(levels[price], 2)
            return [self._apply(side, price, -gone, ts_us)]
        price = self._grid(self._fair_of(side) - int(random.expovariate(1 / 600)))
        best = self.book.best(other)
        if not price or (best and price + best >= ONE_DOLLAR_E4):
            return []
        return [self._apply(side, price, self._size(), ts_us)]

    def _trade(self, ts_us: int) -> list[Event]:
        """A taker hits the best bid of a side; one trade in twenty is told before its change."""
        random = self._random
        side, taker = SIDES if random.random() < 0.5 else SIDES[::-1]
        price = self.book.best(side)
        if not price:
            return []
        resting = self.book.sides[side][price]
        count = resting if random.random() < 0.4 else _part(resting, 3)
        both: list[Event] = [
            self._apply(side, price, -count, ts_us),
            self._executed(price if side == "yes" else ONE_DOLLAR_E4 - price, count, taker, ts_us),
        ]
        return both if random.random() < 0.95 else both[::-1]

    def _cross(self, ts_us: int) -> list[Event]:
        """A NO bid through the best YES bid: shown first, matched in the same instant."""
        best = self.book.best("yes")
        price = self._grid(ONE_DOLLAR_E4 - best + 100)
        if not best or not price:
            return []
        resting = self.book.sides["yes"][best]
        return [
            self._apply("no", price, resting, ts_us),
            self._apply("yes", best, -resting, ts_us),
            self._apply("no", price, -resting, ts_us),
            self._executed(best, resting, "no", ts_us),
        ]

    def _apply(self, side: str, price_e4: int, delta_e2: int, ts_us: int) -> Change:
        self.book.apply(side, price_e4, delta_e2)
        return Change(self.ticker, side, price_e4, delta_e2, ts_us)

    def _executed(self, yes_price_e4: int, count_e2: int, taker: str, ts_us: int) -> Execution:
        self.volume_e2 += count_e2
        self.last_price_e4, self.last_count_e2 = yes_price_e4, count_e2
        return Execution(self.ticker, self._random.getrandbits(128), yes_price_e4, count_e2, taker, ts_us)

    def quote(self, ts_us: int) -> Quote:
        """The market as a ticker message tells it."""
        self.quoted = True
        (bid, bid_size), (no_bid, no_bid_size) = (self._top(side) for side in SIDES)
        last = (self.last_price_e4, self.last_count_e2)
        return Quote(self.ticker, *last, bid, bid_size, no_bid, no_bid_size, self.volume_e2, ts_us)

    def _top(self, side: str) -> tuple[int, int]:
        best = self.book.best(side)
        return best, self.book.sides[side].get(best, 0)

    def close(self) -> None:
        """The market's end: nothing happens in it any more; its book stays until the exchange empties it."""
        self.open = False


def _together(random: Random) -> int:
    """How many orders one instant brings: measured, 61 to 93 of 100 bring one change, a few in 10,000 more than ten."""
    dice = random.random()
    if dice < 0.78:
        return 1
    return 2 + int(random.expovariate(0.8)) if dice < 0.9992 else random.randrange(10, 50)


def _part(count_e2: int, parts: int) -> int:
    """That part of a count in whole contracts, or all of it if that would be none."""
    return count_e2 // (100 * parts) * 100 or count_e2
