"""What a chart shows, gathered in columns of time while a session is read: memory for columns and prices, not for events.

Times are nanoseconds that never fall (a clock that was set back stands still here), prices 1/10,000 dollar, sizes 1/100
contract; sums over time are floats, since they are only drawn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Columns:
    """The span from `start_ns` to `end_ns`, cut in `count` columns of `width_ns`, at most as many as asked for."""

    def __init__(self, start_ns: int, end_ns: int, most: int) -> None:
        span = max(end_ns - start_ns, 1)
        self.start_ns = start_ns
        self.width_ns = -(-span // most)
        self.count = -(-span // self.width_ns)
        self.end_ns = start_ns + self.count * self.width_ns

    def at(self, ns: int) -> int:
        """The column that a time is in; times beyond the span are in the outermost."""
        return min(max((ns - self.start_ns) // self.width_ns, 0), self.count - 1)

    def spread(self, sums: Floats, value: float, start_ns: int, end_ns: int) -> None:
        """Adds to each column `value` times the nanoseconds of it that lie in [start_ns, end_ns)."""
        start_ns, end_ns = max(start_ns, self.start_ns), min(end_ns, self.end_ns)
        if start_ns >= end_ns:
            return
        first, last = self.at(start_ns), self.at(end_ns)
        if first == last:
            sums[first] += value * (end_ns - start_ns)
            return
        sums[first] += value * (self.start_ns + (first + 1) * self.width_ns - start_ns)
        sums[first + 1 : last] += value * self.width_ns
        sums[last] += value * (end_ns - self.start_ns - last * self.width_ns)


class Resting:
    """The sizes that rest in one book, level by level, and since when; nothing while there is no valid book."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._levels: dict[tuple[str, int], tuple[int, int]] = {}
        self._now = columns.start_ns
        self._valid_since: int | None = None
        self._valid_ns = np.zeros(columns.count)
        self._sums: dict[int, Floats] = {}

    def replace(self, yes: dict[int, int], no: dict[int, int], ns: int) -> None:
        """A whole book takes the place of all levels, or the first valid one begins. Prices are each side's own."""
        self.lost(ns)
        self._valid_since = self._now
        for side, levels in (("yes", yes), ("no", no)):
            for price, size in levels.items():
                self._levels[side, price] = (size, self._now)

    def level(self, side: str, price: int, size: int, ns: int) -> None:
        """A level has a new size; 0: it is gone."""
        self._pass(ns)
        self._end(side, price)
        if size:
            self._levels[side, price] = (size, self._now)

    def lost(self, ns: int) -> None:
        """From now on there is no valid book."""
        self._pass(ns)
        for level in list(self._levels):
            self._end(*level)
        if self._valid_since is not None:
            self._columns.spread(self._valid_ns, 1, self._valid_since, self._now)
        self._valid_since = None

    def end(self) -> None:
        """The span is over."""
        self.lost(self._columns.end_ns)

    def valid(self) -> Floats:
        """The share of each column's time in which there was a valid book. Call `end` first."""
        return self._valid_ns / self._columns.width_ns

    def means(self) -> dict[int, Floats]:
        """YES price → contracts that rested there in each column, on average over its valid time. Call `end` first."""
        ns = np.where(self._valid_ns > 0, self._valid_ns, 1)
        return {price: sums / ns / 100 for price, sums in sorted(self._sums.items())}

    def _pass(self, ns: int) -> None:
        self._now = max(self._now, min(ns, self._columns.end_ns))

    def _end(self, side: str, price: int) -> None:
        size, since = self._levels.pop((side, price), (0, 0))
        if size and since < self._now:
            yes_price = price if side == "yes" else 10_000 - price
            sums = self._sums.get(yes_price)
            if sums is None:
                sums = self._sums[yes_price] = np.zeros(self._columns.count)
            self._columns.spread(sums, size, since, self._now)


class Line:
    """A value that holds until the next one: of each column the lowest, the highest and the last; NaN for none."""

    def __init__(self, columns: Columns, value: int | None) -> None:
        self._columns = columns
        self._column, self._value = 0, np.nan if value is None else float(value)
        self.low, self.high, self.last = (np.full(columns.count, np.nan) for _ in range(3))
        self._hold(0, 1)

    def set(self, value: int | None, ns: int) -> None:
        """A new value, None for none; an earlier time than before counts as the same column."""
        column = max(self._columns.at(ns), self._column)
        self._hold(self._column + 1, column + 1)
        self._column, self._value = column, np.nan if value is None else float(value)
        self.low[column] = np.fmin(self.low[column], self._value)
        self.high[column] = np.fmax(self.high[column], self._value)
        self.last[column] = self._value

    def end(self) -> None:
        """The span is over."""
        self._hold(self._column + 1, self._columns.count)

    def _hold(self, start: int, end: int) -> None:
        for values in (self.low, self.high, self.last):
            values[start:end] = self._value
