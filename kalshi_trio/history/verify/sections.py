"""The report for people, as tables of text that a terminal frames and a file takes line by line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kalshi_trio.history.verify.findings import Finding, Held, Hole, Report, SessionReport, Table
from kalshi_trio.history.verify.timeline import timeline, whole_spans
from kalshi_trio.sealing import ns_of

MOST = 40
"""Lines of a table; `--json` has all."""
CELLS = 32


class Section(NamedTuple):
    """A table: what it is about, its columns, its lines, and how many of those were left out."""

    title: str
    columns: tuple[str, ...]
    lines: list[tuple[str, ...]]
    left: int = 0


def of_session(one: SessionReport) -> list[Section]:
    """All tables about one session that have a line."""
    made = [_rows(one), _sequences(one), _gaps(one), _coverage(one), findings(one.findings)]
    return [section for section in made if section.lines]


def _rows(one: SessionReport) -> Section:
    sinks = sorted({name for table in one.tables.values() for name in table.sinks})
    lines = [_table(name, table, sinks) for name, table in one.tables.items()]
    return _section("Rows", ("table", "sealed", "journal", *sinks, "digest"), lines)


def _sequences(one: SessionReport) -> Section:
    columns = ("connection", "sid", "received", "frames", "missing", "repeated")
    lines = [
        (
            *(str(run.connection), str(run.sid), _ranges(run.ranges)),
            *(f"{number:,}" for number in (run.frames, run.missing, run.repeated)),
        )
        for run in one.sequences
    ]
    return _section("Sequence numbers", columns, lines)


def _gaps(one: SessionReport) -> Section:
    columns = ("frame", "connection", "cause", "channel", "numbers", "opened", "lasted", "healed")
    return _section("Gaps", columns, [_gap(gap) for gap in one.gaps])


def _coverage(one: SessionReport) -> Section:
    """The least covered first."""
    began, ended = one.started or _NEVER, one.ended or one.started or _NEVER
    start, end = ns_of(began), ns_of(ended)
    columns = ("market", "whole", f"{began[11:19]} to {ended[11:19]}", "stale s", "books lost", "negative", "crossed")
    lines = [
        (
            *(ticker, f"{covered.percent:.2f} %", timeline(whole_spans(covered.spans), start, end, CELLS)),
            f"{covered.stale_seconds:,.3f}",
            *(str(getattr(one.books.get(ticker), name, 0)) for name in ("lost", "negative", "crossed")),
        )
        for ticker, covered in sorted(one.coverage.items(), key=lambda item: (item[1].percent, item[0]))
    ]
    return _section("Coverage", columns, lines)


def findings(found: list[Finding]) -> Section:
    """The worst first."""
    order = {"damage": 0, "gap": 1, "pending": 2, "note": 3}
    lines = [
        (one.level, one.place, one.where, _frames(one.frames), " ".join([one.what, *_concerned(one)]))
        for one in sorted(found, key=lambda one: order[one.level])
    ]
    return _section("Findings", ("what", "in", "where", "frames", "how"), lines)


def head(one: SessionReport) -> str:
    """The session in a line."""
    tally = ", ".join(f"{name} {count:,}" for name, count in one.tally.items())
    retired = f", segments {', '.join(map(str, one.retired))} retired" if one.retired else ""
    count = f"{one.segments} segment{'' if one.segments == 1 else 's'}"
    return f"{one.name} ({one.session}), {one.verdict}: {one.records:,} records in {count}{retired}; {tally}"


def verdict(one: SessionReport, missed: Sequence[str] = ()) -> str:
    """How it ended for this session: never kinder than what was looked at; `missed`: places that were not."""
    state = " so far, still open" if one.verdict == "open" else ""
    words = {0: f"clean{state}", 3: _WITH_GAPS.get(one.verdict, "sound, with known gaps") + state, 4: "DAMAGED"}
    retired = ["retired segments"] if one.retired else []
    older = ["rows by today's rules"] if one.older else []
    left_out = [*retired, *older, *missed]
    unseen = f" (not checked: {', '.join(left_out)})" if left_out else ""
    return f"{one.name}: {words[one.exit_code]}{unseen}"


_WITH_GAPS = {"cut short": "cut short", "nothing recorded": "nothing recorded"}
"""Verdicts that say more than that there are gaps."""


def last_lines(report: Report) -> list[str]:
    """What was not looked at, and the end."""
    missed = [
        f"not checked: {one.place}: {one.why}" + (f" (pid {one.pid})" if one.pid else "") for one in report.not_checked
    ]
    places = list(dict.fromkeys(one.place for one in report.not_checked))
    return [*missed, *(verdict(one, places) for one in report.sessions)]


_NEVER = "1970-01-01T00:00:00.000000000Z"


def _section(title: str, columns: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> Section:
    return Section(title, columns, list(lines[:MOST]), max(len(lines) - MOST, 0))


def _table(name: str, table: Table, sinks: list[str]) -> tuple[str, ...]:
    agrees = "-" if not table.journal else "same" if table.journal == table.sealed or not table.sealed else "DIFFERS"
    cells = [_held(table.sinks.get(sink, Held()), table) for sink in sinks]
    return (name, f"{table.made:,}", agrees, *cells, (table.journal or table.sealed)[:12])


def _held(held: Held, table: Table) -> str:
    wrong = [f"{getattr(held, kind):,} {kind}" for kind in ("missing", "double", "foreign", "changed", "pending")]
    told = [text for text in wrong if not text.startswith("0 ")]
    if told:
        return f"{held.rows:,} ({', '.join(told)})"
    if held.digest and held.digest == (table.journal or table.sealed):
        return "same"
    return f"{held.rows:,}"


def _ranges(ranges: list[list[int]]) -> str:
    told = ", ".join(f"{first}-{last}" for first, last in ranges[:4])
    return told + (f", … {len(ranges) - 4} more" if len(ranges) > 4 else "")


def _gap(gap: Hole) -> tuple[str, ...]:
    where = (str(gap.frame), str(gap.connection), gap.cause, gap.channel or "-")
    numbers = f"{gap.expected} expected, {gap.got} came" if gap.expected is not None else "-"
    healed = "yes" if gap.healed_at else f"{gap.healed} of {len(gap.markets)} markets"
    return (*where, numbers, gap.opened_at[11:23], f"{gap.seconds:.3f} s", healed)


def _frames(frames: tuple[int, int] | None) -> str:
    return f"{frames[0]}-{frames[1]}" if frames else "-"


def _concerned(one: Finding) -> list[str]:
    """Whose sequence numbers and markets those frames may have had."""
    told = [
        f"connection {lost.connection} sid {lost.sid} seq {lost.first}-{'end' if lost.last is None else lost.last}"
        for lost in one.sequences
    ]
    numbers = [f"({'; '.join(told)})"] if told else []
    some = ", ".join(one.markets[:6]) + (f" and {len(one.markets) - 6} more" if len(one.markets) > 6 else "")
    return [*numbers, f"may concern {some}"] if some else numbers
