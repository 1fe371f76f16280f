"""What of a chart's numbers is shown: the range of prices, the rows of the heat map, the scale of its colours."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from kalshi_trio.history.charts.bins import Floats
from kalshi_trio.history.charts.chart_data import ChartData, Trades

ROWS = 130
"""The most rows of a heat map: each is some pixels high."""
MARKS = 400
"""The most trades that are marked."""
_STEPS = (1, 5, 10, 20, 50, 100)
_FILLED = 0.6
_CENT, _DOLLAR = 100, 10_000


class View(NamedTuple):
    """Prices in 1/10,000 dollar; `heat` has a row for each `step` from `low` on and a column of time, NaN where unknown.

    `scale`: the sizes (contracts) of the darkest and the brightest colour, None where nothing rests.
    """

    low: int
    high: int
    step: int
    heat: Floats
    scale: tuple[float, float] | None


def view(data: ChartData) -> View:
    """Best prices and trades with some room around them; rows as fine as most ticks there."""
    low, high = _range(data)
    prices = [price for price in data.heat if low <= price <= high]
    tick = math.gcd(*prices, _CENT)
    fit = (step for step in _STEPS if not step % tick and (high - low) / step <= ROWS)
    step = next((step for step in fit if _filled(prices, step)), _CENT)
    low, high = low // step * step, -(-high // step) * step
    rows = np.zeros(((high - low) // step + 1, data.columns.count))
    for price in prices:
        rows[(price - low) // step] += data.heat[price]
    rows[:, data.valid == 0] = np.nan
    return View(low, high, step, rows, _scale(rows))


def marked(trades: Counter[Trades]) -> tuple[Counter[Trades], bool]:
    """The largest, and whether some are left out: thousands of marks would hide all else."""
    largest = Counter(dict(trades.most_common(MARKS)))
    return largest, len(largest) < len(trades)


def _filled(prices: list[int], step: int) -> bool:
    """Whether most rows have a level at some time: ticks are finer near 0 and 1 dollar, and stripes elsewhere mislead."""
    rows = {price // step for price in prices}
    return bool(rows) and len(rows) >= _FILLED * (max(rows) - min(rows) + 1)


def _range(data: ChartData) -> tuple[int, int]:
    lines = [line.last[~np.isnan(line.last)] for line in (data.bid, data.ask)]
    prices = [int(edge(line)) for line in lines if len(line) for edge in (np.min, np.max)]
    prices += [trade.price for trade in data.trades]
    if not prices:
        prices = [*data.heat] or [0, _DOLLAR]
    low, high = min(prices), max(prices)
    room = max((high - low) // 4, 5 * _CENT)
    return max(low - room, 0), min(high + room, _DOLLAR)


def _scale(rows: Floats) -> tuple[float, float] | None:
    """Most sizes, not all: a few huge ones would leave one colour to the rest."""
    some = rows[rows > 0]
    if not some.size:
        return None
    low, high = np.percentile(some, (5, 99.5))
    return float(low), float(max(high, low * 2))
