"""What `verify` reads, and from where: a session or a whole data folder, the sinks of the settings, and who holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from kalshi_trio.errors import FolderNotWritable, InUse, SinkError
from kalshi_trio.history.verify.findings import Finding, Report, Unchecked
from kalshi_trio.journal.folder import resolve, sessions
from kalshi_trio.protocol.schema import TABLES
from kalshi_trio.settings import Settings, masked
from kalshi_trio.sinks.clickhouse import Embedded, Server
from kalshi_trio.sinks.clickhouse_rows import ClickHouseRows
from kalshi_trio.sinks.parquet_rows import ParquetRows
from kalshi_trio.sinks.rows import RowSource


class Scope(NamedTuple):
    """What to verify: these session folders of a data folder; `all` of them, then the chain is looked at, too."""

    settings: Settings
    folders: list[Path]
    all: bool


def scope(settings: Settings, name: str) -> Scope:
    """What SESSION or DIR means. Raises UsageError."""
    path = Path(name)
    if (path / "sessions").is_dir():
        settings = settings.model_copy(update={"data_dir": path}).anchored()
        return Scope(settings, sessions(settings.data_dir), all=True)
    folder = resolve(settings.data_dir, name).absolute()
    if folder.parent.name == "sessions":
        settings = settings.model_copy(update={"data_dir": folder.parent.parent})
    return Scope(settings.anchored(), [folder], all=False)


@contextmanager
def sources(settings: Settings, report: Report, pid: int | None) -> Iterator[list[RowSource]]:
    """Blocking: the sinks of the settings, open; those that cannot be looked at are named in the report.

    `pid`: of the process that holds the data folder, None if nobody does.
    """
    with ExitStack() as stack:
        found: list[RowSource] = []
        for source, where, ours in _wanted(settings):
            if ours and pid is not None:
                report.not_checked.append(Unchecked(source.name, f"{where} is held by a running recorder", pid))
                continue
            stack.callback(source.close)
            try:
                source.open()
            except (InUse, FolderNotWritable, SinkError) as error:
                report.not_checked.append(Unchecked(source.name, str(error)))
            else:
                found.append(source)
        yield found


def _wanted(settings: Settings) -> Iterator[tuple[RowSource, str, bool]]:
    """Each source, its place as a person would name it, and whether only who holds the data folder may open it."""
    if settings.parquet:
        yield ParquetRows(settings.parquet_folder), str(settings.parquet_folder), False
    if settings.clickhouse and settings.clickhouse_url:
        password = settings.clickhouse_password.get_secret_value()
        server = Server(settings.clickhouse_url, settings.clickhouse_user, password)
        yield ClickHouseRows(server, settings.clickhouse_database), masked(settings.clickhouse_url), False
    elif settings.clickhouse and (settings.data_dir / "clickhouse").is_dir():
        folder = settings.data_dir / "clickhouse"
        yield ClickHouseRows(Embedded(folder), settings.clickhouse_database), str(folder), True


def look_beside(source: RowSource, session: str) -> Iterator[Finding]:
    """Blocking: what lies beside the rows of a session in a sink, or under them, and is not as it was written."""
    for table in TABLES:
        if isinstance(source, ParquetRows):
            for stray in source.strays(table, session):
                yield Finding("damage" if stray.damage else "note", source.name, stray.path, stray.why)
        elif isinstance(source, ClickHouseRows):
            for part, why in source.damaged(table, session):
                frames = (part.first, part.last) if part.last else None
                yield Finding("damage", source.name, f"{table}, part {part.name}", why[:200], frames)


def set_aside(source: RowSource) -> Iterator[Finding]:
    """Blocking: parts that the engine took out of its tables when it opened: their rows are missing."""
    if isinstance(source, ClickHouseRows):
        for table in TABLES:
            for name, why in source.detached(table):
                yield Finding("note", source.name, f"{table}, part {name}", f"set aside by ClickHouse: {why}")
