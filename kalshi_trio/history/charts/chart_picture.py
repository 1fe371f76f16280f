"""A chart as a picture: resting size as colour over time and price, best prices, trades, holes."""

from __future__ import annotations

import datetime
from math import floor
from pathlib import Path

import numpy as np
from matplotlib import dates, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kalshi_trio.history.charts.bins import Columns, Floats, Line
from kalshi_trio.history.charts.chart_data import ChartData
from kalshi_trio.history.charts.chart_view import View, marked, view
from kalshi_trio.history.drawing import ASK, BID, DOLLARS, GREY, GRID, LOOK, new_figure, title, write
from kalshi_trio.observe.figures import plural

COLOURS = "YlGnBu"
HOLE = "#c9ced6"
SMALLEST, LARGEST = 14.0, 130.0
"""Points² of trades' marks."""
BARS = 150
TAKERS = (("yes", "^", BID, "taker YES"), ("no", "v", ASK, "taker NO"), (None, "o", GREY, "taker unknown"))
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def draw_chart(data: ChartData, path: Path) -> None:
    """Writes the picture. Raises UsageError, FolderNotWritable."""
    shown = view(data)
    with rc_context(LOOK):
        figure = new_figure(14, 8)
        heights = (6, 1) if data.trades else (1,)
        prices, *volume = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        _titles(prices, data)
        _heat(figure, prices, data.columns, shown)
        _holes(prices, data)
        _best(prices, data)
        _trades(prices, data)
        for below in volume:
            _volume(below, data)
        _axes(prices, [prices, *volume], data.columns, shown)
        handles, labels = prices.get_legend_handles_labels()
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, labelcolor=GREY)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([LARGEST / 2])
    write(figure, path)


def _titles(axes: Axes, data: ChartData) -> None:
    columns = data.columns
    start, end = (_EPOCH + datetime.timedelta(microseconds=ns // 1000) for ns in (columns.start_ns, columns.end_ns))
    clock = "%H:%M:%S" if end - start > datetime.timedelta(minutes=1) else "%H:%M:%S.%f"
    until = f"{end:{clock}}" if start.date() == end.date() else f"{end:%Y-%m-%d {clock}}"
    contracts = sum(data.trades.values()) / 100
    causes = ", ".join(f"{many} {cause.replace('_', ' ')}" for cause, many in data.causes.most_common(4))
    parts = [
        f"{start:%Y-%m-%d {clock}} to {until} UTC",
        f"book valid {floor(1e4 * float(data.valid.mean())) / 100:g} % of the time"
        + (f" ({causes})" if causes else ""),
        f"{contracts:,.0f} contracts traded" if data.trades else "no trades recorded",
    ]
    title(axes, data.market, f"session {data.session}", "   ·   ".join(parts))


def _edges(columns: Columns) -> Floats:
    """The columns' edges as matplotlib's days."""
    ns = columns.start_ns + np.arange(columns.count + 1) * columns.width_ns
    return ns / 86_400e9


def _heat(figure: Figure, axes: Axes, columns: Columns, shown: View) -> None:
    edges, half = _edges(columns), shown.step / 2
    if shown.scale is None:
        return
    norm = LogNorm(*shown.scale)
    extent = (edges[0], edges[-1], shown.low - half, shown.high + half)
    positive = np.where(shown.heat > 0, shown.heat, np.nan)
    axes.imshow(
        positive,
        norm=norm,
        cmap=COLOURS,
        extent=extent,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        zorder=1,
    )
    bar = figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, extend="both", pad=0.01, fraction=0.03, aspect=40)
    bar.set_label(f"contracts resting at a price ({DOLLARS(shown.step)} a row), mean of the column", color=GREY)
    bar.set_ticks([n for n in _round_numbers() if shown.scale[0] <= n <= shown.scale[1]])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}" if n >= 1 else f"{n:g}"))
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)


def _round_numbers() -> list[float]:
    return [digit * 10.0**power for power in range(-2, 12) for digit in (1, 2, 5)]


def _holes(axes: Axes, data: ChartData) -> None:
    edges = _edges(data.columns)
    for number, (first, last) in enumerate(data.holes):
        label = f"no valid book ({plural(len(data.holes), 'span')})" if not number else None
        axes.axvspan(edges[first], edges[last], facecolor=HOLE, edgecolor="none", alpha=0.75, zorder=2, label=label)


def _best(axes: Axes, data: ChartData) -> None:
    for line, colour, label in ((data.bid, BID, "best bid"), (data.ask, ASK, "best ask")):
        _line(axes, _edges(data.columns), line, colour, label)


def _line(axes: Axes, edges: Floats, line: Line, colour: str, label: str) -> None:
    low, high, last = (np.append(values, values[-1]) for values in (line.low, line.high, line.last))
    axes.fill_between(edges, low, high, step="post", color=colour, alpha=0.3, linewidth=0, zorder=3)
    axes.step(edges, last, where="post", color="white", linewidth=2.6, alpha=0.8, zorder=4)
    axes.step(edges, last, where="post", color=colour, linewidth=1.3, zorder=5, label=label)


def _trades(axes: Axes, data: ChartData) -> None:
    edges = _edges(data.columns)
    trades, some_only = marked(data.trades)
    if not trades:
        return
    largest = float(np.percentile([*trades.values()], 99))
    for taker, marker, colour, label in TAKERS:
        some = [(trade, count) for trade, count in trades.items() if trade.taker == taker]
        if some:
            middles = [(edges[trade.column] + edges[trade.column + 1]) / 2 for trade, _ in some]
            areas = [min(max(LARGEST * count / largest, SMALLEST), LARGEST) for _, count in some]
            axes.scatter(
                *(middles, [trade.price for trade, _ in some], areas),
                marker=marker,
                facecolor=colour,
                edgecolor="white",
                linewidth=0.5,
                alpha=0.75,
                zorder=6,
                label=f"{'largest ' if some_only else ''}trades, {label} (area: contracts)",
            )


def _volume(axes: Axes, data: ChartData) -> None:
    """Contracts traded, by who took, in coarser columns."""
    edges, together = _edges(data.columns), -(-data.columns.count // BARS)
    below = np.zeros(-(-data.columns.count // together))
    left = edges[:-1:together]
    for taker, _, colour, _ in TAKERS:
        sums = np.zeros(len(below))
        for trade, count in data.trades.items():
            if trade.taker == taker:
                sums[trade.column // together] += count / 100
        if sums.any():
            widths = np.diff(np.append(left, edges[-1]))
            axes.bar(left, sums, widths * 0.85, below, align="edge", color=colour, alpha=0.8)
            below += sums
    axes.set_ylabel("traded")
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))


def _axes(prices: Axes, every: list[Axes], columns: Columns, shown: View) -> None:
    edges = _edges(columns)
    prices.set_xlim(edges[0], edges[-1])
    room = max(shown.step / 2, (shown.high - shown.low) / 50)
    prices.set_ylim(shown.low - room, shown.high + room)
    prices.set_ylabel("YES price, dollars")
    prices.yaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 5, 10]))
    prices.yaxis.set_major_formatter(DOLLARS)
    locator = dates.AutoDateLocator(datetime.UTC, minticks=6, maxticks=14)  # type: ignore[no-untyped-call]
    every[-1].xaxis.set_major_locator(locator)
    every[-1].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, datetime.UTC))  # type: ignore[no-untyped-call]
    every[-1].set_xlabel("UTC")
    for axes in every:
        axes.grid(color=GRID, linewidth=0.5, alpha=0.6)
        axes.set_axisbelow(True)
