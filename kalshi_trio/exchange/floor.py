"""Generated markets that live: bursts, quiet spells, closes. Pure: the seed, and time as an argument, decide all of it.

Calibrated with what recorders measured at the real exchange: 50 to 110 frames a second over hours, but 700 to 2,800 in
the busiest second, 130 to 1,500 in the busiest tenth, half of the frames within a millisecond of the one before, one in
a hundred after 0.1 to 0.3 s of silence, and, rarely, silence for minutes.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple

from kalshi_trio.exchange.market import Event, Market, Told, Whole

FRAMES_AN_INSTANT = 1.45
SECOND = 1_000_000
EMPTIED_AFTER = (1.0, 6.5)
"""Seconds after a close at which the exchange sends the empty book: the first, and in half of the cases the second too."""
DETERMINED_AFTER, SETTLED_AFTER = 8.0, 40.0
CREATED_EVERY = 20.0


class Mood(NamedTuple):
    """How busy the exchange is: a factor of the mean rate, how long that lasts (mean seconds), how often it comes."""

    factor: float
    lasts: float
    weight: float


MOODS = (
    Mood(0.01, 2.5, 1.5),
    Mood(0.3, 4.0, 8.0),
    Mood(1.0, 4.0, 6.0),
    Mood(4.0, 1.5, 2.0),
    Mood(40.0, 0.06, 5.0),
)
STEADY = (Mood(1.0, 60.0, 1.0),)
"""Always as busy as on the mean: for measuring."""


def _mean(moods: Sequence[Mood]) -> float:
    return sum(m.factor * m.lasts * m.weight for m in moods) / sum(m.lasts * m.weight for m in moods)


class GeneratedFloor:
    """Markets by ticker, and what happens to them.

    `rate` is the mean number of changes a second over all markets; `close_after` closes the first market after so many
    seconds. `fine` False leaves out the steps of 0.1 cent and the parts of contracts, which the cents eras did not have.
    """

    def __init__(
        self,
        tickers: Sequence[str],
        seed: int,
        rate: float = 70.0,
        close_after: float | None = None,
        *,
        fine: bool = True,
        moods: Sequence[Mood] = MOODS,
    ) -> None:
        random = self._random = Random(seed)  # noqa: S311  plausible, not secret
        self.markets = {t: Market(t, random, fine=fine and number % 2 == 0) for number, t in enumerate(tickers)}
        self._all = list(self.markets.values())
        self._shares = list(accumulate(1 / (1 + number) for number in range(len(self._all))))
        self._instants = rate / FRAMES_AN_INSTANT / _mean(moods) / SECOND
        self._clock = 0
        self._moods = moods
        self._mood, self._mood_ends = moods[len(moods) // 2], 0
        self._next = self._wait(0)
        self._now_us = 0
        self._later: list[tuple[int, int, str, str]] = []
        for ticker in self.markets:
            self._plan(random.random(), "quote", ticker)
        if close_after is not None and self._all:
            self._plan(close_after, "close", self._all[0].ticker)
        self._plan(CREATED_EVERY * random.random(), "create", "")

    def advance(self, dt_us: int, now_us: int) -> list[Event]:
        """What happens in the next `dt_us` of the floor's own time, stamped between the last `now_us` and this one."""
        start, first = self._clock, min(self._now_us or now_us - dt_us, now_us)
        end = start + dt_us
        events: list[Event] = []
        while (at := min(self._next, self._later[0][0])) <= end:
            ts_us = first + (at - start) * (now_us - first) // dt_us
            if at == self._next:
                events += self._instant(ts_us)
                self._next = self._wait(at)
            else:
                self._clock, _, what, ticker = heapq.heappop(self._later)
                events += self._planned(what, ticker, ts_us)
        self._clock, self._now_us = end, now_us
        return events

    def _wait(self, at: int) -> int:
        """When the next instant is: chance without memory, so a change of mood may simply draw again."""
        while True:
            at += 1 + int(self._random.expovariate(self._instants * self._mood.factor))
            if at < self._mood_ends:
                return at
            at = self._mood_ends
            self._mood = self._random.choices(self._moods, [mood.weight for mood in self._moods])[0]
            self._mood_ends += 1 + int(self._random.expovariate(1 / self._mood.lasts) * SECOND)

    def _instant(self, ts_us: int) -> list[Event]:
        market = self._random.choices(self._all, cum_weights=self._shares)[0]
        return market.instant(ts_us) if market.open else []

    def _plan(self, seconds: float, what: str, ticker: str) -> None:
        heapq.heappush(self._later, (self._clock + int(seconds * SECOND), len(self._later), what, ticker))

    def _planned(self, what: str, ticker: str, ts_us: int) -> list[Event]:
        if what == "create":
            return self._create(ts_us)
        market = self.markets[ticker]
        if what == "quote":
            return self._quote(market, ts_us)
        if what == "close":
            return self._close(market)
        if what == "empty":
            for levels in market.book.sides.values():
                levels.clear()
            return [Whole(ticker)]
        return [_told(ticker, what, ts_us)]

    def _quote(self, market: Market, ts_us: int) -> list[Event]:
        """About one a second and market, where something changed: measured, 0.64 to 1.64 s apart, 1.005 in the middle."""
        if not market.open:
            return []
        self._plan(max(0.3, self._random.gauss(1.03, 0.28)), "quote", market.ticker)
        return [] if market.quoted else [market.quote(ts_us)]

    def _close(self, market: Market) -> list[Event]:
        market.close()
        for seconds in EMPTIED_AFTER[: self._random.randrange(1, 3)]:
            self._plan(seconds, "empty", market.ticker)
        self._plan(DETERMINED_AFTER, "determined", market.ticker)
        self._plan(SETTLED_AFTER, "settled", market.ticker)
        return []

    def _create(self, ts_us: int) -> list[Event]:
        """Other people's markets come into being too: the lifecycle channel tells of all."""
        self._plan(CREATED_EVERY, "create", "")
        event = f"KXGENERATED-26{self._random.randrange(1000, 9999)}"
        return [
            Told("event_lifecycle", event, _event_members(event)),
            _told(f"{event}-T{self._random.randrange(100)}", "created", ts_us),
        ]


def _told(ticker: str, what: str, ts_us: int) -> Told:
    seconds = ts_us // SECOND
    more: dict[str, object] = {"event_type": what}
    if what == "created":
        more |= {"exchange_index": 0, "open_ts": seconds, "close_ts": seconds + 900}
        more |= {"price_level_structure": "tapered_deci_cent"}
    else:
        more |= {f"{'determination' if what == 'determined' else what}_ts": seconds}
        more |= {"result": "no", "settlement_value": "0.0000"} if what == "determined" else {}
    return Told("market_lifecycle_v2", ticker, json.dumps(more, separators=(",", ":"))[1:-1])


def _event_members(event: str) -> str:
    more = {"exchange_index": 0, "title": f"Generated {event}", "subtitle": "", "collateral_return_type": "MECNET"}
    return json.dumps(more | {"series_ticker": event.partition("-")[0]}, separators=(",", ":"))[1:-1]
