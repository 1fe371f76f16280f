"""A session in the middle of things, and the terminal that it is shown on."""

from __future__ import annotations

import io

from rich.console import Console

from kalshi_trio.observe.layout import View
from kalshi_trio.observe.meter import Rates
from kalshi_trio.observe.picture import Picture, Progress, Stage
from kalshi_trio.observe.stats import BuilderStats, FeedStats, JournalStats, SinkStats, Stats, Top


def some_stats() -> Stats:
    """Five markets, a healed gap, one sink that does not answer."""
    names = [f"KXBTC-26NOV24-T{price}" for price in (99999.99, 100249.99, 100499.99, 100749.99, 100999.99)]
    tops = {name: Top(4500 - 100 * i, 12_000, 4600 + 50 * i, 30_050, valid=i != 3) for i, name in enumerate(names)}
    builder = BuilderStats(frame=100_280, decoded=100_257, control=7, snapshots=12, deltas=99_000)
    builder.gaps_opened = builder.gaps_healed = 1
    builder.books_valid, builder.markets = 4, 5
    builder.tops, builder.busy = tops, {name: 40_000 >> i for i, name in enumerate(names)}
    builder.drift = ["field orderbook_delta.msg.venue", "type market_mood"]
    stats = Stats(session="20261124_050102-9f3a1c70", builder=builder, warnings=2)
    stats.lateness_ms = {"exchange_to_receive": {"p50": 3.51, "p99": 12.4, "max": 88.0}}
    stats.feed = FeedStats(
        "wss://user:secret@external-api-ws.kalshi.com/trade-api/ws/v2", "connected", 2, 100_271, 25 << 20
    )
    stats.feed.reconnects = 1
    stats.journal = JournalStats(100_290, 100_278, 3)
    stats.sinks = {
        "parquet": SinkStats("Parquet", "ok", 80_000, 81_391, 19_000),
        "clickhouse": SinkStats("ClickHouse", "retrying", 60_000, 60_391, 40_000, last_error="connection refused"),
    }
    return stats


def some_picture(stats: Stats | None = None, progress: Progress | None = None) -> Picture:
    """Those stats after twelve minutes."""
    past = tuple(abs(i % 16 - 8) * 150.0 for i in range(60))
    stages = (
        Stage("journal", "writing", True, None, None, 12, 0.1),
        Stage("books", "reading", True, None, None, 10, 0.0),
        Stage("Parquet", "ok", True, 81_391, 19_000, 20_290, 34.2),
        Stage("ClickHouse", "retrying", False, 60_391, 40_000, 40_290, 63.0),
    )
    return Picture(stats or some_stats(), Rates(1234.4, 1100, 301_000, past), stages, 754.0, 0.0, False, progress)


def shown(picture: Picture, width: int = 80, height: int = 24, *, encoding: str = "utf-8") -> list[str]:
    """The lines of the view on a terminal of that size, without colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, force_terminal=True, no_color=True)
    console.print(View(picture))
    file.seek(0)
    return file.read().splitlines()
