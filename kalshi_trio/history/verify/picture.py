"""Coverage as a picture: a line a market, green where its book was whole, red where it was not, ticks where gaps opened."""

from __future__ import annotations

from pathlib import Path

from kalshi_trio.errors import UsageError
from kalshi_trio.history.verify.findings import SessionReport
from kalshi_trio.history.verify.timeline import whole_spans
from kalshi_trio.sealing import ns_of

MOST_MARKETS = 80
LEGEND = "green: whole and in sequence · red: no book that can be trusted, or none yet · ticks: a gap opened"
"""A picture of more could not be read; those with the least coverage are shown."""
_DAY_NS = 86_400_000_000_000


def check_name(path: Path) -> Path:
    """The path, if it names a kind of picture that can be made; UsageError."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"{path}: a picture is .svg or .png")
    return path


def draw(sessions: list[SessionReport], path: Path) -> None:
    """Writes the picture. Raises FolderNotWritable."""
    import matplotlib as mpl  # noqa: PLC0415  half a second that only a picture needs
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415  as above
    from matplotlib.figure import Figure  # noqa: PLC0415  as above

    from kalshi_trio.history.drawing import save  # noqa: PLC0415  as above

    markets, left = _markets(sessions)
    figure = Figure(figsize=(12, 1.6 + 0.24 * max(len(markets), 1)), layout="constrained")
    axes = figure.add_subplot()
    for line, ticker in enumerate(markets):
        for one in (one for one in sessions if ticker in one.coverage and one.ended):
            axes.broken_barh([_span(one.started, one.ended or one.started)], (line - 0.4, 0.8), color="#d65f5f")
            valid = [_span(*span) for span in whole_spans(one.coverage[ticker].spans)]
            axes.broken_barh(valid, (line - 0.4, 0.8), color="#4c9f70")
            opened = [_days(gap.opened_at) for gap in one.gaps if ticker in gap.markets]
            axes.plot(opened, [line] * len(opened), "|", color="black", markersize=7)
    axes.set_yticks(range(len(markets)), [f"{ticker}  {_percent(sessions, ticker)}" for ticker in markets], fontsize=8)
    axes.invert_yaxis()
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib types it in part
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    more = f", the {len(markets)} least covered of {len(markets) + left} markets" if left else ""
    axes.set_title(f"Coverage: {', '.join(one.name for one in sessions[:3])}{more} (UTC)\n{LEGEND}", fontsize=10)
    with mpl.rc_context({"svg.hashsalt": "kalshi_trio", "svg.fonttype": "none"}):
        save(figure, path)


def _markets(sessions: list[SessionReport]) -> tuple[list[str], int]:
    """Those to show, in order, and how many are left out."""
    everyone = sorted({ticker for one in sessions for ticker in one.coverage})
    least = sorted(everyone, key=lambda ticker: _share(sessions, ticker))[:MOST_MARKETS]
    return sorted(least), len(everyone) - len(least)


def _share(sessions: list[SessionReport], ticker: str) -> float:
    mine = [one.coverage[ticker] for one in sessions if ticker in one.coverage]
    whole = sum(one.whole_seconds + one.gap_seconds for one in mine)
    return sum(one.whole_seconds for one in mine) / whole if whole else 0.0


def _percent(sessions: list[SessionReport], ticker: str) -> str:
    return f"{100 * _share(sessions, ticker):.2f} %"


def _days(text: str) -> float:
    return ns_of(text) / _DAY_NS


def _span(start: str, end: str) -> tuple[float, float]:
    return _days(start), _days(end) - _days(start)
