"""A book as a ladder for people, and as JSON for programs."""

from __future__ import annotations

from itertools import accumulate

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kalshi_trio.history.book.books import BookAt, Hole, Levels
from kalshi_trio.observe.figures import count
from kalshi_trio.sealing import time_text

BAR = 24
"""Cells of the longest bar."""
BID, ASK, DIM = "green", "red", "bright_black"


def ladder(book: BookAt, depth: int | None = None) -> Group:
    """The best `depth` levels a side, asks above bids; the size of each level, and of all up to it, in contracts."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=DIM)
    for title in ("", "price", "size", "total"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    asks, bids = book.asks[:depth], book.bids[:depth]
    longest = max((size for _, size in (*asks, *bids)), default=1)
    for name, style, levels in (("ask", ASK, _totals(asks)[::-1]), ("bid", BID, _totals(bids))):
        for price, size, total in levels:
            bar = _bar(size / longest)
            cells = (
                Text(name, DIM),
                Text(dollars(price), style),
                count(size),
                Text(count(total), DIM),
                Text(bar, style),
            )
            table.add_row(*cells)
        if name == "ask":
            table.add_row("", Text(_between(book), DIM))
    hidden = [
        (len(levels) - len(shown), name)
        for name, levels, shown in (("asks", book.asks, asks), ("bids", book.bids, bids))
    ]
    more = ", ".join(f"{many} more {name}" for many, name in hidden if many)
    return Group(_head(book), Text(), table, *([Text(), Text(more, DIM)] if more else []))


def _bar(share: float) -> str:
    """Eighths of a cell, one at least."""
    whole, eighths = divmod(max(round(BAR * 8 * share), 1), 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()


def _totals(levels: Levels) -> list[tuple[int, int, int]]:
    return [(*level, total) for level, total in zip(levels, accumulate(size for _, size in levels), strict=True)]


def _between(book: BookAt) -> str:
    """The spread where there are two sides, else which is empty."""
    if book.bids and book.asks:
        return f"spread {dollars(book.asks[0][0] - book.bids[0][0])}"
    return "no bids" if book.asks else "no asks" if book.bids else "empty"


def _head(book: BookAt) -> Text:
    text = Text(book.market, "bold")
    text.append(f"  {book.session}\n", DIM)
    text.append(f"at {time_text(book.ts_recv)} (#{book.frame})\n" if book.frame else "before the first record\n")
    if book.last_frame:
        text.append(f"last change {time_text(book.last_ts_recv)} (#{book.last_frame})\n")
    if book.valid:
        return text.append(f"continuous since {time_text(book.since_ns)}", BID)
    text.append(f"not continuous: {book.why}", ASK)
    if book.hole is not None:
        text.append(_hole_words(book.hole), ASK)
    elif book.since_ns:
        text.append(f", since {time_text(book.since_ns)}", ASK)
    return text


def _hole_words(hole: Hole) -> str:
    numbers = f", expected {hole.expected}, got {hole.got}" if hole.got is not None else ""
    record = f" (#{hole.frame})" if hole.frame else ""
    return f"{numbers}, since {time_text(hole.opened_ns)}{record}"


def dollars(e4: int) -> str:
    """Exact: `0.9800`."""
    return f"{e4 // 10_000}.{e4 % 10_000:04}"


def contracts(e2: int) -> str:
    """Exact: `1234.50`."""
    return f"{e2 // 100}.{e2 % 100:02}"


def plain(book: BookAt, depth: int | None = None) -> dict[str, object]:
    """For JSON: exact decimals as texts, times as RFC 3339 with nanoseconds, the best levels first."""
    hole = book.hole
    return {
        "session": book.session,
        "market": book.market,
        "frame": book.frame,
        "ts_recv": _time(book.ts_recv),
        "valid": book.valid,
        "since": _time(book.since_ns),
        "why": book.why or None,
        "hole": hole
        and {
            "cause": hole.cause,
            "frame": hole.frame or None,
            "opened_at": time_text(hole.opened_ns),
            "expected": hole.expected,
            "got": hole.got,
        },
        "last_frame": book.last_frame or None,
        "last_ts_recv": _time(book.last_ts_recv),
        "levels": {"bids": len(book.bids), "asks": len(book.asks)},
        **{
            side: [[dollars(price), contracts(size)] for price, size in levels[:depth]]
            for side, levels in (("bids", book.bids), ("asks", book.asks))
        },
    }


def _time(ns: int) -> str | None:
    return time_text(ns) if ns else None
