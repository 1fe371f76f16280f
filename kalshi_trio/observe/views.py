"""The parts of the live view: each is made for a width, and says by its number of lines how high it is.

What strangers named (tickers, hosts, errors, fields) is shown as text on one line: no markup, no control character.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kalshi_trio.log_lines import escape
from kalshi_trio.observe import figures
from kalshi_trio.observe.lateness import OTHER_CLOCK, RECEIVED
from kalshi_trio.observe.picture import Picture, Progress, Stage
from kalshi_trio.observe.stats import Stats, Top
from kalshi_trio.observe.view_lines import DIM, Column, ends, flow, table, text

Lines = Sequence[RenderableType]
"""Renderables of one line each."""

GOOD, WARN, BAD, HEAD = "green", "yellow", "red", "cyan"
QUIET_AFTER = 5.0
MEDIUM, WIDE = 50, 70
"""Widths from which there is room for more columns."""
SPARKS = "▁▂▃▄▅▆▇█"


def connection(picture: Picture, width: int, *, plain: bool) -> Lines:
    """State and host; how long it runs."""
    feed = picture.stats.feed
    state, style = _state(picture)
    left = Text(_dot(state, plain=plain), style)
    if host := _host(feed.url):
        left.append(f"  {host}", "default")
    right = Text(figures.clock(picture.elapsed), HEAD)
    if width >= WIDE:
        reconnects = figures.plural(feed.reconnects, "reconnect") if feed.reconnects else ""
        right = Text(f"connection {feed.connection}{', ' if reconnects else ''}{reconnects}  ", DIM).append(right)
    return [ends(left, right)]


def rate(picture: Picture, width: int, *, plain: bool) -> Lines:
    """Messages a second: their past as a line of bars, now, mean; bytes a second; how old frames were when they came."""
    rates = picture.rates
    late = _late(picture.stats) if width >= WIDE else ""
    left = Text(f"{rates.now:,.0f} msg/s", HEAD).append(
        f"  mean {rates.mean:,.0f}  {figures.size(rates.nbytes)}/s{late}", DIM
    )
    room = width - left.cell_len - 2
    right = Text("" if plain or room < 8 else _sparks(rates.past[-room:]), HEAD)
    return [ends(left, right)]


def counts(picture: Picture, width: int) -> Lines:
    """What became of the frames, the gaps, the books, the audits, the log's warnings."""
    stats, builder = picture.stats, picture.stats.builder
    open_gaps = builder.gaps_opened - builder.gaps_healed
    audits = figures.verdicts(builder.audits)
    return flow(
        [
            ("received", f"{stats.feed.received:,}", ""),
            ("decoded", f"{builder.decoded:,}", ""),
            ("control", f"{builder.control:,}", ""),
            ("unknown", f"{builder.unknown:,}", WARN if builder.unknown else ""),
            ("refused", f"{builder.refused:,}", BAD if builder.refused else ""),
            ("gaps", f"{builder.gaps_opened:,} opened, {builder.gaps_healed:,} healed", WARN if open_gaps > 0 else ""),
            ("books", f"{builder.books_valid:,} of {builder.markets:,} whole", ""),
            *([("audits", audits, BAD if builder.audits.get("inconsistent") else "")] if audits else []),
            ("warnings", f"{stats.warnings:,}", WARN if stats.warnings else ""),
            ("errors", f"{stats.errors:,}", BAD if stats.errors else ""),
        ],
        width,
    )


def stages(picture: Picture, width: int, *, plain: bool) -> Lines:
    """Journal, books and sinks: how each is, and how far behind the last record."""
    columns = [Column("", 11, right=False), Column("")]
    if width >= MEDIUM:
        columns += [Column("stored", 11), Column("pending", 9)]
    if width >= WIDE:
        columns.append(Column("records", 9))
    rows = [_stage(stage, plain=plain) for stage in picture.stages]
    return table([*columns, Column("behind", 7)], [[*row[: len(columns)], row[-1]] for row in rows])


def markets(picture: Picture, width: int, most: int) -> Lines:
    """Best bid and ask of the busiest markets."""
    builder = picture.stats.builder
    busiest = sorted(builder.busy, key=lambda name: -builder.busy[name])[:most]
    tops = [(name, builder.tops[name]) for name in busiest if name in builder.tops]
    if not tops:
        return []
    prices = [e4 for _, top in tops for e4 in (top.bid_e4, top.ask_e4) if e4 is not None]
    decimals = 4 if any(e4 % 100 for e4 in prices) else 2
    wide = width >= WIDE
    columns = [Column("market"), *([Column("deltas", 10)] if wide else [])]
    for side in ("bid", "ask"):
        columns += [Column(side, 6), Column("size", 11 if wide else 9)]
    return table(columns, [_market(name, top, decimals, builder.busy[name] if wide else None) for name, top in tops])


def troubles(stats: Stats) -> Lines:
    """The last error of whatever is not well."""
    said = [("journal", stats.journal.error)]
    if stats.feed.state != "connected":
        said.append(("feed", stats.feed.last_error))
    said += [(sink.name, sink.last_error) for sink in stats.sinks.values() if sink.state in {"retrying", "refused"}]
    return [text(f"{name}: {escape(error)}", WARN) for name, error in said if error]


def drift(stats: Stats) -> Lines:
    """What the exchange sends that is not known here."""
    found = [escape(name) for name in stats.builder.drift]
    return [text("new here: " + ", ".join(found), WARN)] if found else []


def progress(done: Progress | None) -> Lines:
    """How far a bounded recording is."""
    if done is None:
        return []
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    left = "" if done.left is None else f"  {figures.span(done.left)} left"
    bar = ProgressBar(total=1.0, completed=done.done, complete_style=HEAD, finished_style=GOOD, style=DIM)
    line.add_row(bar, Text(f"{done.done:4.0%}{left}"))
    return [line]


def _late(stats: Stats) -> str:
    """From exchange to receipt: in the middle and of the slowest hundredth. Empty where clocks are hours apart."""
    found = stats.lateness_ms.get(RECEIVED)
    if found is None or abs(found["p50"]) > OTHER_CLOCK / 1e6:
        return ""
    return f"  late {found['p50']:,.1f} ms, p99 {found['p99']:,.1f}"


def _state(picture: Picture) -> tuple[str, str]:
    state = picture.stats.feed.state
    if picture.stopping:
        return "stopping, storing what is left", WARN
    if state == "connected" and picture.quiet > QUIET_AFTER:
        return f"connected, quiet for {figures.span(picture.quiet)}", WARN
    return "waiting to reconnect" if state == "waiting" else state, GOOD if state == "connected" else WARN


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return escape(f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}")
    except ValueError:
        return ""


def _stage(stage: Stage, *, plain: bool) -> list[Text]:
    style = GOOD if stage.good else BAD if stage.state in {"refused", "unwritable"} else WARN
    rows = ["" if rows is None else f"{rows:,}" for rows in (stage.stored, stage.pending)]
    numbers = [*rows, f"{stage.records:,}", figures.span(stage.seconds)]
    return [
        text(escape(stage.name)),
        text(_dot(stage.state, plain=plain), style),
        *(text(number) for number in numbers),
    ]


def _dot(state: str, *, plain: bool) -> str:
    return state if plain else f"● {state}"


def _market(name: str, top: Top, decimals: int, deltas: int | None) -> list[Text]:
    style = "" if top.valid else DIM
    cells = [text(escape(name), style)]
    if deltas is not None:
        cells.append(Text(f"{deltas:,}", DIM))
    if not top.valid:
        return [*cells, Text(""), Text("no book", WARN), Text(""), Text("")]
    for price_e4, size_e2, colour in ((top.bid_e4, top.bid_size_e2, GOOD), (top.ask_e4, top.ask_size_e2, BAD)):
        cells += [Text(figures.price(price_e4, decimals), colour), Text(figures.count(size_e2), DIM)]
    return cells


def _sparks(past: Sequence[float]) -> str:
    most = max(past, default=0.0)
    return "".join(SPARKS[round(value / most * (len(SPARKS) - 1))] if most else SPARKS[0] for value in past)
