"""One recording from start to summary: the data folder held, the log opened, what was left behind mended, the pipeline run."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from kalshi_trio import __version__
from kalshi_trio.errors import (
    ConfigError,
    FolderNotWritable,
    JournalError,
    KeyRefused,
    NotSealed,
    Stopped,
    first_of,
)
from kalshi_trio.feeding import Feeding
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import DataLock, Name, new_name, refused
from kalshi_trio.journal.manifest import Manifest, Verdict
from kalshi_trio.journal.sinks_report import Report, of_sink, write_report
from kalshi_trio.journal.writer import Journal, Limits
from kalshi_trio.logging_config import close_session_logger, get_logger, register_secret, setup_session_logger
from kalshi_trio.observe.console import live_view
from kalshi_trio.observe.health import publish_status
from kalshi_trio.observe.lateness import Lateness
from kalshi_trio.observe.picture import Bound
from kalshi_trio.observe.stats import Stats
from kalshi_trio.observe.summary import Ending, say_summary
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.pipeline import Pipeline
from kalshi_trio.protocol.auth import Signer
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.rest import Rest
from kalshi_trio.sealing import Sealer, time_text, verdict_of
from kalshi_trio.session import GRACE, Session, hear_signals, open_session, watch_signals
from kalshi_trio.settings import Settings, masked
from kalshi_trio.startup import Older, deaths, left_behind, make_sinks, name_of, seal_dead, source_of
from kalshi_trio.tasks.writer import Sink, ask_rows
from kalshi_trio.thread import Door
from kalshi_trio.transport.endpoint import Endpoint, check_cleartext
from kalshi_trio.workflow_logger import log_environment

log = get_logger(__name__)

LIMIT_GRACE = 60.0
"""Seconds to drain in when nobody is waiting for the process to end: its own limit (SECONDS, FRAMES) was reached."""


@dataclass
class Recording:
    """What is known of a recording when it is over."""

    settings: Settings
    name: Name
    source: str
    stats: Stats = field(default_factory=Stats)
    verdict: Verdict = "open"
    interrupted: bool = False
    limited: bool = False
    """Ended by its own limit (SECONDS, FRAMES)."""


async def record(
    settings: Settings,
    sign: Callable[[int], Endpoint],
    *,
    signer: Signer | None = None,
    source: str = "live",
    console: Terminal | None = None,
) -> Recording:
    """Records until a signal, a limit or a refused key ends it; everything that could be stored is.

    When it returns, the session is sealed, or a second Ctrl-C came (`interrupted`). Raises the UserErrors of a start
    that cannot be, KeyRefused, Stopped before the session began, and FolderNotWritable or NotSealed at its end.
    `sign(now_ms)` makes the address and its headers; `signer` signs what audits ask, which REST answers unsigned, too.
    """
    settings = settings.anchored()
    if not settings.markets:
        raise ConfigError("MARKETS is empty: name the markets to record, e.g. MARKETS=KXFED-26DEC-T3.75")
    if not settings.allow_cleartext:
        check_cleartext("KALSHI_WS_URL", settings.ws_url)
        if settings.audit and signer is not None:
            check_cleartext("KALSHI_REST_URL", settings.rest_url)
    rest = Rest(settings.rest_url, signer) if settings.audit else None
    path = settings.kalshi_private_key_path or ""
    for secret in (settings.clickhouse_password.get_secret_value(), settings.kalshi_api_key_id, str(path)):
        if secret:
            register_secret(secret)
    with ExitStack() as stack:
        heard = stack.enter_context(hear_signals())  # before the first line: who sees that may press Ctrl-C
        lock = stack.enter_context(DataLock(settings.data_dir))
        name = new_name(settings.data_dir, time.time_ns())
        lock.announce({"session": name.session, "start": time_text(time.time_ns()), "addresses": []})
        setup_session_logger(settings.log_dir, name.stamp, console=console)
        recording = Recording(settings, name, source)
        try:
            await _Run(recording, sign, rest, console).run(heard)
        finally:
            close_session_logger(recording.verdict)
    return recording


class _Run:
    def __init__(
        self, recording: Recording, sign: Callable[[int], Endpoint], rest: Rest | None, console: Terminal | None
    ) -> None:
        settings, name = recording.settings, recording.name
        self._recording, self._settings, self._name, self._sign = recording, settings, name, sign
        self._rest, self._console = rest, console
        stats = recording.stats
        stats.session, stats.started_ns, stats.started_mono_ns = name.session, time.time_ns(), time.monotonic_ns()
        limits = Limits(
            flush_seconds=settings.journal_fsync_ms / 1000,
            segment_records=settings.journal_segment_records,
            segment_seconds=settings.journal_segment_minutes * 60,
        )
        self._full = lambda: stats.journal.held_bytes >= limits.held_bytes
        self._journal = Journal(name.folder, name.session, __version__, limits=limits, stats=stats.journal)
        self._builder = Builder(name.session)
        self._lateness = Lateness()
        self._sinks = make_sinks(settings)
        for sink in self._sinks:
            stats.sinks[sink.store.name] = sink.stats
            sink.stored = partial(self._stored, sink)
        self._refused: KeyRefused | None = None
        self._older: list[Older] = []
        self._sealer = Sealer(name.folder, self._manifest())
        self._pipeline: Pipeline | None = None
        self._verdict: Verdict = "open"
        self._unsealed: Exception | None = None

    def _stored(self, sink: Sink, batch: object) -> None:
        self._lateness.stored(sink.store.name, batch, time.time_ns())  # type: ignore[arg-type]

    async def run(self, heard: AsyncIterator[int]) -> None:
        """The recording itself, until it is over and its manifest sealed. `heard`: signals."""
        settings = self._settings
        log_environment({name.upper(): _flat(value) for name, value in settings.shown().items()}, log)
        log.info("Loaded %d markets: %s", len(settings.markets), ", ".join(settings.markets))
        async with open_session("Kalshi recorder") as session:
            await session.serve("signals", watch_signals, session, heard)
            if self._console is not None:
                view = partial(live_view, self._recording.stats, console=self._console, stopping=session.stopping)
                await session.serve("console", partial(view, bound=_bound(settings)))
            await session.serve("status", publish_status, self._recording.stats, settings.data_dir / "status.json")
            await self._record(session)
            session.stop("the recording is over")
        self._recording.interrupted = session.interrupted
        if self._pipeline is not None:
            for one in self._older:
                await Door().run(self._report_older, one)
        if self._journal.ended:
            await self._seal_and_say(session)
        if self._refused is not None:
            raise self._refused
        if not session.interrupted:
            await Door().run(self._check_sealed, session)

    async def _record(self, session: Session) -> None:
        """From what was left behind to the last row; the deadline may cancel it anywhere."""
        settings = self._settings
        names = [name_of(sink.store) for sink in self._sinks]
        self._older = older = await Door().run(left_behind, settings.data_dir, names)
        self._say_start(await Door().run(deaths, settings.data_dir, older))
        for one in older:
            if one.unsealed:
                session.start_soon(session.nursery, f"seal {one.session}", seal_dead, one, Door())
        if settings.seconds:
            session.start_soon(session.nursery, "time limit", self._limit, session, settings.seconds)
        log.info("Initialized WebSocket client and sinks")
        parts = (session, self._journal, self._builder, self._recording.stats, self._sinks)
        sources = [source_of(one) for one in older if one.last]
        self._pipeline = Pipeline(*parts, sources, self._sealer, self._lateness, self._begin)
        try:
            await self._pipeline.run(partial(self._feed, session), partial(self._end, session))
        finally:
            await self._close_stores(older)  # noqa: ASYNC102  shielded, with a deadline, in there

    async def _seal_and_say(self, session: Session) -> None:
        settings = self._settings
        try:
            report = await Door().run(self._seal)
        except (OSError, JournalError) as error:
            log.error("The session's manifest cannot be sealed: %s", error)  # noqa: TRY400  the text says it all
            self._unsealed = error
            return
        seconds = (time.monotonic_ns() - self._recording.stats.started_mono_ns) / 1e9
        places = {
            "journal": short(self._name.folder),
            **{sink.store.name: _place(settings, sink.store.name) for sink in self._sinks},
            "logs": short(settings.log_dir),
        }
        if self._verdict == "nothing recorded":
            feed = self._recording.stats.feed
            refused = "the exchange refused the key" if self._refused is not None else ""
            why = (
                refused
                or feed.last_error
                or ("the exchange sent no frame" if feed.last_pong_mono_ns else "it never answered")
            )
            log.warning("Nothing was recorded from %s: %s", feed.url, why)
        ending = Ending(self._sealer.manifest, report, seconds, session.diary, places)
        say_summary(ending, self._console or Terminal())

    def _check_sealed(self, session: Session) -> None:
        """Blocking: whatever went before, nothing ends well with a manifest that is open, or is not there."""
        folder, journal = self._name.folder, self._journal
        found = manifests.read(folder)
        if found is not None and found.session == self._name.session and found.verdict != "open":
            return
        if not folder.exists():
            raise Stopped(
                f"Stopped by {session.stop_reason} before the recording began: there is nothing to be stored."
            )
        waiting = journal.last_frame - journal.durable_frame
        why = self._recording.stats.journal.error or (str(self._unsealed) if self._unsealed else "")
        text = f"Session {folder.name} is not sealed, the next start does it"
        if waiting:
            text += f"; {waiting} records that were received are not on disk"
        if why:
            raise FolderNotWritable(f"{text}: {why}")
        raise NotSealed(f"{text}: it did not end in time ({', '.join(session.overdue) or session.stop_reason})")

    def _say_start(self, died: list[dict[str, object]]) -> None:
        """The first record says who we are, and what died before us."""
        settings, name, source = self._settings, self._name, self._recording.source
        event: dict[str, object] = {
            "event": "started",
            "session": name.session,
            "source": source,
            "software": __version__,
            "markets": list(settings.markets),
            "settings": settings.shown(),
        }
        for one in died:
            log.warning("Session %s died at record %s: its gap is recorded", one["session"], one["last_record"])
        self._append(event | {"died": died} if died else event)

    def _manifest(self) -> Manifest:
        """What is known of the session at its start."""
        settings, name = self._settings, self._name
        started = time_text(self._recording.stats.started_ns)
        manifest = Manifest(name.session, name.folder.name, self._recording.source, __version__, started)
        manifest.markets, manifest.settings = list(settings.markets), settings.shown()
        return manifest

    def _begin(self) -> None:
        """Blocking: the folder and the manifest, still open; once nothing else can keep the recording from starting.

        FolderNotWritable where the disk refuses; nothing is left of the session then.
        """
        folder = self._name.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            checkpoints.save(folder, checkpoints.Checkpoint(1, 1, self._builder.dump(), 0))
            manifests.write(folder / "manifest.json", self._sealer.manifest)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise refused(self._settings.data_dir, error) from error

    def _append(self, event: Mapping[str, object]) -> None:
        self._journal.append("session", 0, time.time_ns(), time.monotonic_ns(), [json.dumps(event).encode()])

    async def _limit(self, session: Session, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await session.stopping.wait()
            return
        self._stop_by_limit(session, f"{seconds:g} seconds")

    def _stop_by_limit(self, session: Session, reason: str) -> None:
        self._recording.limited = True
        session.patience = self._patience
        session.stop(reason)

    def _patience(self, waited: float) -> bool:
        """Sinks that store may take their time then; those that do not answer are waited for as ever."""
        stuck = all(sink.stats.state in {"retrying", "refused", "closed"} for sink in self._sinks)
        return waited < (GRACE if stuck else LIMIT_GRACE)

    async def _feed(self, session: Session, signals: trio.MemoryReceiveChannel[Signal]) -> None:
        stop = partial(self._stop_by_limit, session)
        parts = (self._journal, self._builder.state, self._recording.stats.feed, self._full, stop)
        try:
            await Feeding(session, self._settings, self._sign, self._rest, *parts).run(signals)
        except* KeyRefused as group:
            self._refused = first_of(group)
            session.stop("the exchange refused the key")

    def _end(self, session: Session) -> None:
        self._verdict = verdict_of(self._builder.state, self._recording.stats.feed.received)
        self._append({"event": "ended", "reason": session.stop_reason, "verdict": self._verdict})

    async def _close_stores(self, older: list[Older]) -> None:
        """Asks what they hold of each session, then closes them: the engine's threads are joined, never abandoned."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 3):
            for session in [self._name.session, *(one.session for one in older if one.last)]:
                await ask_rows(self._sinks, session)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            for sink in self._sinks:
                await sink.door.run(sink.store.close)

    def _report_older(self, older: Older) -> None:
        """What the sinks hold of a session of an earlier process by now."""
        manifest = manifests.read(older.folder)
        if manifest is None or manifest.verdict == "open":
            return
        report = self._report(manifest, older.last)
        try:
            write_report(older.folder, report)
        except OSError as error:
            log.warning("What the sinks hold of %s is not noted, the next start asks them: %s", older.session, error)

    def _seal(self) -> Report:
        sealer, stats, state = self._sealer, self._recording.stats, self._builder.state
        stats.lateness_ms = self._lateness.summary()
        counted = (stats.feed.received, self._journal.data_frames)
        self._verdict = verdict_of(state, *counted)
        sealer.finish(state, self._verdict, self._journal.disk.closed, stats.lateness_ms, counted)
        self._recording.verdict = self._verdict
        try:
            write_report(self._name.folder, self._report(sealer.manifest, self._journal.last_frame))
        except OSError as error:
            log.warning("What the sinks hold is not noted, the next start asks them: %s", error)
        # To be shown: what a sink that does not answer any more has acknowledged before.
        for sink in self._sinks:
            sink.there.setdefault(self._name.session, sink.stats.tables)
        return self._report(sealer.manifest, self._journal.last_frame)

    def _report(self, manifest: Manifest, last: int) -> Report:
        made, session = {table: rows.made for table, rows in manifest.tally.rows.items()}, manifest.session
        through = {sink.store.name: sink.stats.through if session == self._name.session else 0 for sink in self._sinks}
        return {
            name_of(sink.store): of_sink(made, sink.there.get(session), last, through[sink.store.name])
            for sink in self._sinks
        }


def _bound(settings: Settings) -> Bound | None:
    if settings.seconds or settings.frames:
        return Bound(settings.seconds or 0.0, settings.frames or 0)
    return None


def _place(settings: Settings, sink: str) -> str:
    if sink == "Parquet":
        return short(settings.parquet_folder)
    return masked(settings.clickhouse_url) if settings.clickhouse_url else short(settings.data_dir / "clickhouse")


def short(path: Path) -> str:
    """As a person would write it from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _flat(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
