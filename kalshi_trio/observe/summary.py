"""What a session has to say at its end: a few tables, the same on a terminal and as lines of the log."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.sinks_report import Report
from kalshi_trio.log_lines import escape
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe import figures
from kalshi_trio.observe.lateness import OTHER_CLOCK, RECEIVED, SKEW
from kalshi_trio.session import Entry

log = get_logger(__name__)

LABELS = {"clickhouse": "ClickHouse", "parquet": "Parquet"}
"""Sinks in the order in which they are named."""
MEANING = {
    "open": "it was not sealed",
    "complete": "no gap was opened, nothing refused, every book came",
    "known gaps": "the table gaps has each",
    "cut short": "the process died",
    "nothing recorded": "no data frame came",
}
STYLES = {"complete": "green", "known gaps": "yellow", "cut short": "red", "nothing recorded": "red"}
PLAIN_WIDTH = 100
SHOWN_MARKETS = 20


class Ending(NamedTuple):
    """A session that is over; `places`: what → where it is.

    `part`: what of the session this is about, where the manifest's frames, gaps and verdict are not its own.
    """

    manifest: Manifest
    report: Report
    seconds: float
    diary: Sequence[Entry] = ()
    places: Mapping[str, str] = {}
    part: str = ""


def tally_line(manifest: Manifest, report: Report) -> str:
    """What was received and what became of it; of each sink the rows of all tables together."""
    tally = manifest.tally
    frames = f"Tally: received {tally.received} = journalled {tally.journalled} = decoded {tally.decoded}"
    frames += f" + control {tally.control} + unknown {tally.unknown} + refused {tally.refused}"
    return "; ".join([frames, *(_sink_text(report, name) for name in LABELS if name in report)])


def say_summary(ending: Ending, console: Console) -> None:
    """Shows the summary on a terminal, logs its lines elsewhere (in the log files it is either way); then the tally."""
    whole = summary(ending)
    if console.is_terminal:
        console.print(whole)
    level = logging.DEBUG if console.is_terminal else logging.INFO
    for line in _plain(whole):
        log.log(level, "%s", line)
    if ending.part:
        return
    log.info("%s", tally_line(ending.manifest, ending.report))
    bookless = ending.manifest.missing
    if bookless:
        more = f" and {len(bookless) - SHOWN_MARKETS:,} more" if len(bookless) > SHOWN_MARKETS else ""
        log.warning("No book ever came of %s%s", ", ".join(map(escape, bookless[:SHOWN_MARKETS])), more)
    if not ending.manifest.tally.balanced:
        log.error("The tally does not balance: frames were lost or counted twice on their way. Please report it")


def summary(ending: Ending) -> RenderableType:
    """All of it; parts that have nothing to say are left out."""
    manifest = ending.manifest
    parts = [
        _headline(ending),
        _rows(manifest, ending.report),
        _lateness(manifest.lateness_ms),
        _tasks(ending.diary),
        _drift(manifest.fields),
        _places(ending.places),
    ]
    return Group(*(line for part in parts if part is not None for line in (part, Text(""))))


def _headline(ending: Ending) -> Text:
    manifest = ending.manifest
    if ending.part:
        return Text(f"{escape(manifest.name)}: {escape(ending.part)}, in {figures.span(ending.seconds)}")
    text = Text(f"{escape(manifest.name)}: {figures.plural(manifest.tally.received, 'frame')}")
    text.append(f" of {figures.plural(len(manifest.markets), 'market')} in {figures.span(ending.seconds)}\nverdict ")
    text.append(manifest.verdict, STYLES.get(manifest.verdict, "default"))
    opened, healed = manifest.gaps.get("opened", 0), manifest.gaps.get("healed", 0)
    gaps = f"{figures.plural(opened, 'gap')} opened, {healed:,} healed, " if opened else ""
    text.append(f": {gaps}{MEANING[manifest.verdict]}")
    if audits := figures.verdicts(manifest.tally.audits):
        text.append(
            f"\naudits against REST: {audits}", "red" if manifest.tally.audits.get("inconsistent") else "default"
        )
    return text


def _rows(manifest: Manifest, report: Report) -> RenderableType | None:
    made = {table: rows.made for table, rows in manifest.tally.rows.items()}
    sinks = [name for name in LABELS if name in report]
    if not made:
        return None
    table = _table("rows", "made", *(LABELS[name] for name in sinks), wide=True)
    for name, number in made.items():
        stored = [report[sink].get(name) for sink in sinks]
        cells = ["-" if one is None else _stored(one.stored, one.pending) for one in stored]
        table.add_row(name, f"{number:,}", *cells)
    totals = [_stored(*_totals(report, sink)) for sink in sinks]
    table.add_row("all", f"{sum(made.values()):,}", *totals)
    return table


def _lateness(lateness: Mapping[str, Mapping[str, float]]) -> RenderableType | None:
    if not lateness:
        return None
    table = _table("how late, in ms", "p50", "p99", "max")
    apart = abs(lateness.get(SKEW, {}).get("estimate", 0.0)) * 1e6 > OTHER_CLOCK
    for stage, found in lateness.items():
        if stage != SKEW and not (apart and stage == RECEIVED):
            table.add_row(stage.replace("_", " "), *(f"{found[name]:,.2f}" for name in ("p50", "p99", "max")))
    skew = lateness.get(SKEW)
    if skew is None:
        return table
    if apart:
        hours = skew["estimate"] * 1e6 / OTHER_CLOCK
        return Group(table, Text(f"the exchange's stamps are {hours:,.1f} hours old: a recording, or a wrong clock"))
    return Group(table, Text(f"clock skew and shortest way, together: {skew['estimate']:,.2f} ms"))


def _tasks(diary: Sequence[Entry]) -> RenderableType | None:
    if not diary:
        return None
    table = _table("tasks", "took")
    table.add_column("outcome", no_wrap=True, overflow="ellipsis", header_style="cyan")
    for entry in diary:
        by = f" by {escape(entry.by)}" if entry.by else ""
        outcome = entry.outcome + by + (f": {escape(entry.detail)}" if entry.detail else "")
        style = {"failed": "red"}.get(entry.outcome, "default")
        table.add_row(Text(escape(entry.name)), figures.span(entry.seconds), Text(outcome, style))
    return table


def _drift(fields: Mapping[str, int]) -> RenderableType | None:
    if not fields:
        return None
    return Text(f"new here, kept in the journal: {', '.join(escape(name) for name in fields)}", "yellow")


def _places(places: Mapping[str, str]) -> RenderableType | None:
    if not places:
        return None
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for what, where in places.items():
        table.add_row(what, Text(escape(where)))
    return table


def _table(first: str, *numbers: str, wide: bool = False) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="cyan")
    table.add_column(first, no_wrap=True, min_width=20)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True, min_width=12 if wide else 9)
    return table


def _stored(stored: int, pending: int) -> str:
    return f"{stored:,}" + (f" + {pending:,} pending" if pending else "")


def _totals(report: Report, sink: str) -> tuple[int, int]:
    tables = report[sink].values()
    return sum(table.stored for table in tables), sum(table.pending for table in tables)


def _sink_text(report: Report, sink: str) -> str:
    stored, pending = _totals(report, sink)
    return f"{LABELS[sink]} {stored} rows, {pending} pending"


def _plain(whole: RenderableType) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=PLAIN_WIDTH, color_system=None).print(whole)
    return [line.rstrip() for line in file.getvalue().splitlines() if line.strip()]
