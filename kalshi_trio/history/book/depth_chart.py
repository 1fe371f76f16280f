"""A book as a depth chart: contracts that can be had up to each price, bids to the left, asks to the right."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kalshi_trio.history.book.books import BookAt, Levels
from kalshi_trio.history.book.ladder import dollars
from kalshi_trio.history.drawing import ASK, BID, DOLLARS, GREY, GRID, LOOK, new_figure, title, write
from kalshi_trio.sealing import time_text

ONE = 10_000


class Curve(NamedTuple):
    """One side as steps: at each price (1/10,000 dollar), from the best on, all contracts up to there (1/100)."""

    prices: list[int]
    totals: list[int]


def curve(levels: Levels) -> Curve:
    """Of levels with the best first."""
    return Curve([price for price, _ in levels], list(accumulate(size for _, size in levels)))


def draw_depth(book: BookAt, path: Path, depth: int | None = None) -> None:
    """Writes the chart of the best `depth` levels a side. Raises UsageError, FolderNotWritable."""
    with rc_context(LOOK):
        figure = new_figure(9, 5)
        _draw(figure.add_subplot(), book, depth)
    write(figure, path)


def _draw(axes: Axes, book: BookAt, depth: int | None) -> None:
    when = (
        f"{time_text(book.ts_recv)[:-7].replace('T', ' ')} UTC, #{book.frame:,}"
        if book.frame
        else "before its first record"
    )
    state = "continuous" if book.valid else f"not continuous: {book.why}"
    title(axes, book.market, f"session {book.session}", f"{when}   ·   {state}")
    sides = [curve(levels[:depth]) for levels in (book.bids, book.asks)]
    shown = [price for side in sides for price in side.prices] or [0, ONE]
    pad = max((max(shown) - min(shown)) * 0.04, 50)
    low, high = max(min(shown) - pad, 0), min(max(shown) + pad, ONE)
    for side, colour, label, edge in zip(sides, (BID, ASK), ("bids", "asks"), (low, high), strict=True):
        if side.prices:
            _side(axes, side, colour, label, edge)
    if not any(side.prices for side in sides):
        axes.text(0.5, 0.5, "the book is empty", transform=axes.transAxes, ha="center", color=GREY)
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(DOLLARS)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.set_xlabel("YES price, dollars")
    axes.set_ylabel("contracts, up to this price")
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _side(axes: Axes, side: Curve, colour: str, label: str, edge: float) -> None:
    prices, totals = [*side.prices, edge], [total / 100 for total in (*side.totals, side.totals[-1])]
    axes.fill_between(prices, totals, step="post", color=colour, alpha=0.22, linewidth=0)
    axes.step(prices, totals, where="post", color=colour, linewidth=1.6)
    axes.vlines(prices[0], 0, totals[0], color=colour, linewidth=1.6)
    axes.plot(
        [],
        [],
        color=colour,
        linewidth=4,
        label=f"{label}: best ${dollars(side.prices[0])}, {totals[-1]:,.2f} contracts",
    )
    axes.legend(frameon=False, loc="upper center", labelcolor=GREY)
