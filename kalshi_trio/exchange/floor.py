"""Generated markets that live: bursts, quiet spells, closes. Pure: the seed, and time as an argument, decide all of it.

Calibrated with what recorders measured at the real exchange: some 70 frames a second on a busy evening, 570 in the worst
10 ms, a hundred quiet milliseconds now and then, and, rarely, many seconds.
"""

from __future__ import annotations

from random import Random

from kalshi_trio.exchange.market import Event, Market

STEP_US = 20_000
"""How finely time is cut."""
QUIET, NORMAL, BURST = 0.15, 1.0, 25.0
"""Factors of the mean rate; a burst lasts some steps, a quiet spell many."""


class GeneratedFloor:
    """Markets by ticker, and what happens to them."""

    def __init__(
        self, tickers: tuple[str, ...], seed: int, rate: float = 70.0, close_after: float | None = None
    ) -> None:
        self._random = Random(seed)  # noqa: S311 -- plausible, not secret
        self.markets = {ticker: Market(ticker, self._random) for ticker in tickers}
        self._rate = rate
        self._mood, self._steps = NORMAL, 0
        self._close_us = None if close_after is None else int(close_after * 1e6)
        self._elapsed_us = 0

    def advance(self, dt_us: int, now_us: int) -> list[Event]:
        """What happens in the next `dt_us`; the exchange's clock ends at `now_us`."""
        events: list[Event] = []
        done = 0
        while done < dt_us:
            step = min(STEP_US, dt_us - done)
            done += step
            events += self._step(step, now_us - dt_us + done)
        self._elapsed_us += dt_us
        if self._close_us is not None and self._elapsed_us >= self._close_us:
            self._close_us = None
            first = next(iter(self.markets.values()))
            events += first.close()
        return events

    def _step(self, step_us: int, now_us: int) -> list[Event]:
        random = self._random
        if self._steps <= 0:
            self._mood = random.choices((QUIET, NORMAL, BURST), (0.35, 0.6, 0.05))[0]
            self._steps = 1 + int(random.expovariate(1 / (3 if self._mood == BURST else 25)))
        self._steps -= 1
        expected = self._rate * self._mood * step_us / 1e6 / 2.2
        instants = int(expected) + (random.random() < expected % 1)
        times = sorted(now_us - random.randrange(step_us) for _ in range(instants))
        live = list(self.markets.values())
        return [event for ts_us in times for event in random.choice(live).instant(ts_us)]
