"""How late things were: it reads rows and times, and changes neither.

All times come from outside (stamps in the rows, `now_ns`), so the same calls give the same figures.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pyarrow as pa

from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.histogram import Histogram, Nanoseconds
from kalshi_trio.protocol.schema import RowBatch

log = get_logger(__name__)

RECEIVED = "exchange_to_receive"
SKEW = "clock_skew"

SECOND = 1_000_000_000
STAMPED = ("deltas", "trades", "tickers")
"""Tables with a row a frame and the exchange's time in it."""
OLD = SECOND
SAY_EVERY = 10 * SECOND
SAY_SELDOM = 640 * SECOND
"""Twice as long after each line, up to this: a clock that is wrong by minutes stays so for days."""
SKEW_OVER = 60 * SECOND
OTHER_CLOCK = 3600 * SECOND
"""Minutes can be lateness; hours are another clock: a wrong one, or that of a recording which is being played."""


class Lateness:
    """The session's times, stage by stage. Used on the event loop only.

    Exchange → receive may be negative: where the exchange's clock is ahead of ours. Frames that were more than a second
    old when they came are warned of, in a line after 10, 20, 40 … 640 seconds; where the clocks are hours apart, age
    means nothing, and that is said once instead.
    """

    def __init__(self) -> None:
        self._stages = {RECEIVED: Histogram()}
        self._skew = _Skew()
        self._old = _Old()

    def rows(self, batch: RowBatch) -> None:
        """Takes in the age of each delta, trade and ticker at its receipt: 7 ns a row, and 40 µs a batch."""
        parts = [_ages(batch.tables[name]) for name in STAMPED if name in batch.tables]
        ages = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        if not len(ages):
            return
        self._stages[RECEIVED].extend(ages)
        skew = self._skew.take(batch.ts_last, int(ages.min()))
        self._old.look(batch.ts_last, ages, skew)

    def stored(self, sink: str, batch: RowBatch, now_ns: int) -> None:
        """Takes in how long after its receipt each row of the batch was stored: stage `receive_to_<sink>`."""
        stage = self._stage(f"receive_to_{sink.lower()}")
        for table in batch.tables.values():
            stage.extend(now_ns - _nanoseconds(table, "ts_recv"))

    def add(self, stage: str, seconds: float, weight: int = 1) -> None:
        """Takes in that `weight` frames took so long, for stages that know it themselves (`receive_to_fsync`, …)."""
        self._stage(stage).add(round(seconds * SECOND), weight)

    def summary(self) -> dict[str, dict[str, float]]:
        """Milliseconds: stage → p50, p99 (right to 1.6 %) and max; `clock_skew` → `estimate`, if there is one.

        The estimate is the least receive - exchange of the last minute: what the clocks differ by and the shortest way
        takes. Stages that nothing came of are left out.
        """
        stages = {name: _figures(stage) for name, stage in self._stages.items()}
        found = {name: figures for name, figures in stages.items() if figures}
        skew = self._skew.estimate
        return found if skew is None else found | {SKEW: {"estimate": _ms(skew)}}

    def _stage(self, name: str) -> Histogram:
        stage = self._stages.get(name)
        if stage is None:
            stage = self._stages[name] = Histogram()
        return stage


class _Skew:
    """The least age over the last minute, kept second by second."""

    def __init__(self) -> None:
        self._least: deque[tuple[int, int]] = deque()

    def take(self, now_ns: int, least: int) -> int:
        """The estimate with this one."""
        second = now_ns // SECOND
        if self._least and second < self._least[-1][0] - SKEW_OVER // SECOND:
            self._least.clear()  # our clock was set back: what it showed before is no minute of this one
        if self._least and self._least[-1][0] >= second:
            second, before = self._least.pop()
            least = min(least, before)
        self._least.append((second, least))
        while self._least[0][0] <= second - SKEW_OVER // SECOND:
            self._least.popleft()
        return min(least for _, least in self._least)

    @property
    def estimate(self) -> int | None:
        return min((least for _, least in self._least), default=None)


class _Old:
    """Warns of old frames, seldom."""

    def __init__(self) -> None:
        self._count = self._worst = 0
        self._say_at = self._latest = self._last_old = 0
        self._wait = SAY_EVERY
        self._other_clock = False

    def look(self, now_ns: int, ages: Nanoseconds, skew: int) -> None:
        if abs(skew) > OTHER_CLOCK:
            self._say_other(skew)
            return
        if now_ns < self._latest - SKEW_OVER or now_ns > self._last_old + max(self._wait, SKEW_OVER):
            self._say_at, self._wait = 0, SAY_EVERY  # our clock was set back, or all was well for long enough
        self._latest = now_ns
        count = int(np.count_nonzero(ages > OLD))
        if count:
            self._last_old = now_ns
            self._count += count
            self._worst = max(self._worst, int(ages.max()))
        if self._count and now_ns >= self._say_at:
            self._say(skew)
            self._say_at = now_ns + self._wait
            self._wait = min(2 * self._wait, SAY_SELDOM)

    def _say(self, skew: int) -> None:
        log.warning(
            "Frames more than a second old when they came: %s (the worst %.1fs, the newest of the last minute %.1fs)",
            f"{self._count:,}",
            self._worst / SECOND,
            skew / SECOND,
        )
        self._count = self._worst = 0

    def _say_other(self, skew: int) -> None:
        if not self._other_clock:
            self._other_clock = True
            log.warning(
                "The exchange's stamps are %.1f hours %s our clock: a recording is played, or a clock is wrong",
                abs(skew) / OTHER_CLOCK,
                "behind" if skew > 0 else "ahead of",
            )


def _ages(table: pa.Table) -> Nanoseconds:
    """Receive - exchange of the rows that have both."""
    if table["ts_event"].null_count:
        table = table.filter(table["ts_event"].is_valid())
    return _nanoseconds(table, "ts_recv") - 1000 * _nanoseconds(table, "ts_event")


def _nanoseconds(table: pa.Table, column: str) -> Nanoseconds:
    """The stamps of a column without nulls, in its own unit."""
    numbers: Nanoseconds = table[column].cast(pa.int64()).to_numpy()
    return numbers


def _figures(stage: Histogram) -> dict[str, float]:
    p50, p99 = stage.percentiles(0.5, 0.99)
    return {} if math.isnan(p50) else {"p50": _ms(p50), "p99": _ms(p99), "max": _ms(stage.most)}


def _ms(nanoseconds: float) -> float:
    return round(nanoseconds / 1e6, 3)
