"""What stands before a recording: sinks by the settings, and what an earlier process left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from kalshi_trio.errors import JournalError
from kalshi_trio.fold import Fold
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.digest import Digests
from kalshi_trio.journal.folder import sessions
from kalshi_trio.journal.manifest import Manifest, Verdict
from kalshi_trio.journal.reading import closed_files, last_frame, read_around, read_session
from kalshi_trio.journal.recovery import recover
from kalshi_trio.journal.sinks_report import pending
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.stats import SinkStats
from kalshi_trio.protocol.builder import SegmentEnd
from kalshi_trio.rebuild import Rebuild, RowReader
from kalshi_trio.row_window import RowWindow
from kalshi_trio.sealing import Sealer, ns_of, verdict_of
from kalshi_trio.settings import Settings
from kalshi_trio.sinks.base import Store
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded, Server
from kalshi_trio.sinks.gather import Limits
from kalshi_trio.sinks.parquet import ParquetStore
from kalshi_trio.tasks.writer import Sink, Source
from kalshi_trio.thread import Door

log = get_logger(__name__)

RECORDED = ("live", "demo")
"""Sources of sessions that a recorder wrote as it happened."""


class Older(NamedTuple):
    """A session of an earlier process."""

    folder: Path
    session: str
    last: int
    """0 if it was killed before anything of it had reached the disk."""
    unsealed: bool = False
    """Nobody has sealed its manifest yet."""
    died: bool = False
    """And it was cut short: what came after its last record is a gap."""
    durable: tuple[int, int] = (0, 0)
    """Its last durable record, and when that was received (ns, UTC): where the gap begins."""


def name_of(store: Store) -> str:
    """A sink's name in sinks.json."""
    return store.name.lower()


def make_sinks(settings: Settings, live: Callable[[str], bool] | None = None) -> list[Sink]:
    """The sinks that the settings want; nothing is opened yet. Raises ConfigError.

    `live` tells which sessions `latest_levels` is to show: all that were recorded, and not imported, unless given.
    """
    sinks = []
    if settings.parquet:
        limits = Limits(settings.batch_rows, settings.parquet_flush_secs)
        sinks.append(_sink(ParquetStore(settings.parquet_folder), limits))
    if settings.clickhouse:
        place: Embedded | Server = Embedded(settings.data_dir / "clickhouse")
        if settings.clickhouse_url:
            password = settings.clickhouse_password.get_secret_value()
            place = Server(settings.clickhouse_url, settings.clickhouse_user, password)
        store = ClickHouseStore(
            place,
            settings.clickhouse_database,
            live or cache(partial(_recorded, settings.data_dir)),
            cluster=settings.clickhouse_cluster,
        )
        sinks.append(_sink(store, Limits(settings.batch_rows, settings.batch_flush_secs)))
    return sinks


def _recorded(data: Path, session: str) -> bool:
    """Whether a session came from an exchange as it happened."""
    found = filter(None, map(manifests.read, sessions(data)))
    sources = [manifest.source for manifest in found if manifest.session == session]
    return "~" not in session and not {"import", "replay", "merge"} & set(sources)


def _sink(store: Store, limits: Limits) -> Sink:
    return Sink(store, Door(), limits, SinkStats(store.name))


def left_behind(data: Path, sinks: list[str]) -> list[Older]:
    """Blocking: mends what a crash left; finds what died, and what some sink may lack rows of, oldest first."""
    mended = {one.folder: one for one in recover(data)}
    found = []
    for folder in sessions(data):
        about = manifests.read(folder)
        if folder in mended:
            _, session, last, ended, durable = mended[folder]
            if session:
                found.append(Older(folder, session, last, unsealed=last > 0, died=not ended, durable=durable))
        elif about is not None and any(pending(folder, sink) for sink in sinks):
            last = _last_of(folder)
            if last:
                found.append(Older(folder, about.session, last))
    return found


def deaths(data: Path, older: list[Older]) -> list[dict[str, object]]:
    """Blocking: the sessions that died since the last one that ended by itself, oldest first, for the next one's start.

    One that had told of them itself before it died, and is sealed by now, needs not to be told of again; one of which
    nothing is durable has told of nobody.
    """
    died = {one.folder: one for one in older if one.died}
    found, silent = [], True
    for folder in reversed(sessions(data)):
        about, one = manifests.read(folder), died.get(folder)
        if about is not None and about.source not in RECORDED:
            continue
        if one is None and not (silent and about is not None and about.verdict == "cut short"):
            break
        last, at_ns = one.durable if one else (0, 0)
        silent = silent and not (one.last if one else about and about.segments)
        if about is not None and not at_ns:
            at_ns = ns_of(about.ended or about.started)
        session = one.session if one else about.session if about else ""
        markets = about.markets if about else _wanted(folder)
        told = {"session": session, "last_record": last, "at_ns": at_ns, "markets": markets}
        found.append({name: value for name, value in told.items() if value or name != "at_ns"})
    return found[::-1]


def _wanted(folder: Path) -> list[str]:
    """The markets that a session's first record names; none where it cannot be read."""
    try:
        for frames in read_session(folder, 0, 1):
            return list(json.loads(frames.records[0].data[0])["markets"])
    except (JournalError, OSError, ValueError, LookupError, TypeError) as error:
        log.warning("What %s wanted cannot be read: %s", folder.name, error)
    return []


def _last_of(folder: Path) -> int:
    """The last record of a session that is over; 0 if its disk does not say: the next start asks again."""
    try:
        return last_frame(folder)
    except OSError as error:
        log.error("%s cannot be read now, what waits there to be stored waits on: %s", folder.name, error)  # noqa: TRY400  the text says it all
        return 0


def source_of(older: Older) -> Source:
    """Its rows, made from the journal."""

    def rows_after(after: int) -> RowReader:
        window = RowWindow.past(older.last)
        return RowReader(window, partial(Rebuild, older.folder, older.session), lambda: older.last, _durable, after)

    return Source(older.session, rows_after, _durable, lambda: older.last)


async def _durable(_frame: int) -> None:
    """A session that is over has all its records on disk."""


async def seal_dead(older: Older, door: Door) -> None:
    """Gives a session that died its verdict: one pass over its journal, piece by piece."""
    work = _Sealing(older)
    try:
        while await door.run(work.step):
            pass
    except (JournalError, OSError) as error:  # its verdict can wait; the recording that just begins cannot
        log.error("Session %s cannot be sealed: %s", older.session, error)  # noqa: TRY400  the text says it all
        return
    how = "was cut short" if older.died else "had ended"
    log.info("Session %s %s at frame %d; its manifest is sealed", older.session, how, older.last)


class _Sealing:
    def __init__(self, older: Older) -> None:
        self._older = older
        self._fold = Fold(older.session, self._end_segment, save=partial(checkpoints.save_missing, older.folder))
        self._found = read_around(older.folder, 0, older.last)
        begun = manifests.read(older.folder)
        self._sealer = Sealer(older.folder, begun or Manifest(older.session, older.folder.name, "live", "", ""))

    def step(self) -> bool:
        """Reads some thousand records; False when the manifest is sealed."""
        found = next(self._found, None)
        if found is not None:
            self._fold.feed(found)
            return True
        self._fold.end()
        self._finish()
        return False

    def _end_segment(self, end: SegmentEnd, rows: Digests) -> None:
        self._sealer.segment(end, rows, more=end.last < self._older.last)

    def _finish(self) -> None:
        state = self._fold.builder.state
        self._sealer.begun(state)
        verdict: Verdict = "cut short" if self._older.died else verdict_of(state)
        self._sealer.finish(state, verdict, closed_files(self._older.folder), {})
