"""`verify`: a session, or all of a data folder, held against its own journal; nothing is changed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing

from kalshi_trio.errors import SinkUnavailable
from kalshi_trio.history.verify.chain import chain
from kalshi_trio.history.verify.findings import Finding, Report
from kalshi_trio.history.verify.places import Scope, look_beside, scope, set_aside, sources
from kalshi_trio.history.verify.session_check import SessionCheck
from kalshi_trio.history.workshop import all_of, looked_at, work
from kalshi_trio.observe.progress import progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings
from kalshi_trio.sinks.rows import RowSource


async def verify(settings: Settings, console: Terminal, name: str) -> Report:
    """All that there is to say about SESSION or DIR. Raises UsageError, Stopped.

    The embedded ClickHouse cannot be opened for reading alone: opening it sets parts aside that it finds broken.
    """
    what = scope(settings, name)
    report = Report(str(what.settings.data_dir))
    with looked_at(what.settings, console) as pid:
        async with work("Verification") as session:
            total = sum(SessionCheck(folder, []).records for folder in what.folders)
            with (
                progress("Verifying records", total or None, console) as advance,
                closing(steps(what, report, pid)) as taken,
            ):
                await all_of(taken, session, advance)
    report.close()
    return report


def steps(what: Scope, report: Report, pid: int | None) -> Generator[int, None, None]:
    """How many records are done, after some thousand each time."""
    done = 0
    links = chain(what.settings.data_dir)
    named = {link.folder for link in links}
    with sources(what.settings, report, pid) as found:
        for source in found:
            report.findings += set_aside(source)
        for folder in what.folders:
            check = SessionCheck(folder, found, held=pid is not None)
            for at in check.steps():
                yield done + at
            check.report.findings += _beside(found, check.report.session)
            check.report.findings += check.changed() if folder.name not in named else ()
            done += check.report.records
            report.sessions.append(check.report)
    for link in links:
        mine = [one for one in report.sessions if one.name == link.folder]
        if what.all:
            report.findings.append(link.finding)
        elif mine:
            mine[0].findings.append(link.finding)


def _beside(found: list[RowSource], session: str) -> Iterator[Finding]:
    for source in found:
        try:
            yield from look_beside(source, session)
        except SinkUnavailable as error:
            yield Finding("note", source.name, "files", f"not checked: {error}")
