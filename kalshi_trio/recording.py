"""One recording from start to summary: the data folder held, the log opened, what was left behind mended, the pipeline run."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from kalshi_trio import __version__
from kalshi_trio.errors import ConfigError, KeyRefused, first_of
from kalshi_trio.feeding import Feeding
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import DataLock, Name, new_name
from kalshi_trio.journal.manifest import Manifest, Verdict
from kalshi_trio.journal.sinks_report import Report, Stored, write_report
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
from kalshi_trio.startup import Older, left_behind, make_sinks, name_of, seal_dead, source_of
from kalshi_trio.tasks.writer import Sink
from kalshi_trio.thread import Door
from kalshi_trio.transport.endpoint import Endpoint
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


async def record(
    settings: Settings,
    sign: Callable[[int], Endpoint],
    *,
    signer: Signer | None = None,
    source: str = "live",
    console: Terminal | None = None,
) -> Recording:
    """Records until a signal, a limit or a refused key ends it; everything that could be stored is.

    Raises the UserErrors of a start that cannot be, and KeyRefused. `sign(now_ms)` makes the address and its headers;
    `signer` signs what audits ask, which REST answers unsigned, too.
    """
    settings = settings.anchored()
    if not settings.markets:
        raise ConfigError("MARKETS is empty: name the markets to record, e.g. MARKETS=KXFED-26DEC-T3.75")
    rest = Rest(settings.rest_url, signer) if settings.audit else None
    secret = settings.clickhouse_password.get_secret_value()
    if secret:
        register_secret(secret)
    with ExitStack() as stack:
        lock = stack.enter_context(DataLock(settings.data_dir))
        name = new_name(settings.data_dir, time.time_ns())
        heard = stack.enter_context(hear_signals())  # before the first line: who sees that may press Ctrl-C
        setup_session_logger(settings.log_dir, name.stamp, console=console)
        recording = Recording(settings, name, source)
        lock.announce({"session": name.session, "start": time_text(time.time_ns()), "addresses": []})
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
        self._journal = Journal(name.folder, name.session, __version__, limits=limits, stats=stats.journal)
        self._builder = Builder(name.session)
        self._lateness = Lateness()
        self._sinks = make_sinks(settings)
        for sink in self._sinks:
            stats.sinks[sink.store.name] = sink.stats
            sink.stored = partial(self._stored, sink)
        self._refused: KeyRefused | None = None

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
            names = [name_of(sink.store) for sink in self._sinks]
            older = await Door().run(left_behind, settings.data_dir, names)
            self._say_start(older)
            sealer = Sealer(self._name.folder, self._manifest())
            for one in older:
                if one.unsealed:
                    session.start_soon(session.nursery, f"seal {one.session}", seal_dead, one, Door())
            if settings.seconds:
                session.start_soon(session.nursery, "time limit", self._limit, session, settings.seconds)
            log.info("Initialized WebSocket client and sinks")
            parts = (session, self._journal, self._builder, self._recording.stats, self._sinks)
            begin = partial(self._begin, sealer.manifest)
            pipeline = Pipeline(*parts, [source_of(one) for one in older if one.last], sealer, self._lateness, begin)
            try:
                await pipeline.run(partial(self._feed, session), partial(self._end, session))
            finally:
                await self._close_stores()  # noqa: ASYNC102  shielded, with a deadline, in there
            session.stop("the recording is over")
        self._recording.interrupted = session.interrupted
        for one in older:
            await Door().run(self._report_older, one, pipeline.stored)
        if self._journal.ended:
            report = await Door().run(self._seal, sealer)
            seconds = (time.monotonic_ns() - self._recording.stats.started_mono_ns) / 1e9
            places = {
                "journal": short(self._name.folder),
                **{sink.store.name: _place(settings, sink.store.name) for sink in self._sinks},
                "logs": short(settings.log_dir),
            }
            say_summary(Ending(sealer.manifest, report, seconds, session.diary, places), self._console or Terminal())
        if self._refused is not None:
            raise self._refused

    def _say_start(self, older: list[Older]) -> None:
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
        died = [one for one in older if one.died]
        if died:
            event["previous"] = {"session": died[-1].session, "last_frame": died[-1].last}
            log.warning("Session %s died at frame %d: its hole is recorded", died[-1].session, died[-1].last)
        self._append(event)

    def _manifest(self) -> Manifest:
        """What is known of the session at its start."""
        settings, name = self._settings, self._name
        started = time_text(self._recording.stats.started_ns)
        manifest = Manifest(name.session, name.folder.name, self._recording.source, __version__, started)
        manifest.markets, manifest.settings = list(settings.markets), settings.shown()
        return manifest

    def _begin(self, manifest: Manifest) -> None:
        """Blocking: the folder and the manifest, still open; once nothing can keep the recording from starting."""
        folder = self._name.folder
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints.save(folder, checkpoints.Checkpoint(1, 1, self._builder.dump(), 0))
        manifests.write(folder / "manifest.json", manifest)

    def _append(self, event: Mapping[str, object]) -> None:
        self._journal.append("session", 0, time.time_ns(), time.monotonic_ns(), [json.dumps(event).encode()])

    async def _limit(self, session: Session, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await session.stopping.wait()
            return
        self._stop_by_limit(session, f"{seconds:g} seconds")

    def _stop_by_limit(self, session: Session, reason: str) -> None:
        session.patience = self._patience
        session.stop(reason)

    def _patience(self, waited: float) -> bool:
        """Sinks that store may take their time then; those that do not answer are waited for as ever."""
        stuck = all(sink.stats.state in {"retrying", "refused", "closed"} for sink in self._sinks)
        return waited < (GRACE if stuck else LIMIT_GRACE)

    async def _feed(self, session: Session, signals: trio.MemoryReceiveChannel[Signal]) -> None:
        stop = partial(self._stop_by_limit, session)
        parts = (self._journal, self._builder.state, self._recording.stats.feed, stop)
        try:
            await Feeding(session, self._settings, self._sign, self._rest, *parts).run(signals)
        except* KeyRefused as group:
            self._refused = first_of(group)
            session.stop("the exchange refused the key")

    def _end(self, session: Session) -> None:
        verdict = verdict_of(self._builder.state)
        self._recording.verdict = verdict
        self._append({"event": "ended", "reason": session.stop_reason, "verdict": verdict})

    async def _close_stores(self) -> None:
        """The engine's threads are joined, never abandoned; an HTTP client has nothing to wait for."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            for sink in self._sinks:
                await sink.door.run(sink.store.close)

    def _report_older(self, older: Older, stored: set[tuple[str, str]]) -> None:
        """What the sinks hold of a session of an earlier process by now."""
        manifest = manifests.read(older.folder)
        if manifest is None or manifest.verdict == "open":
            return
        report: Report = {}
        for name in (sink.store.name for sink in self._sinks):
            whole = (older.session, name) in stored
            report[name.lower()] = {
                table: Stored(rows.made, 0, older.last) if whole else Stored(0, rows.made, 0)
                for table, rows in manifest.tally.rows.items()
            }
        try:
            write_report(older.folder, report)
        except OSError as error:
            log.warning("What the sinks hold of %s is not noted, the next start asks them: %s", older.session, error)

    def _seal(self, sealer: Sealer) -> Report:
        stats, state = self._recording.stats, self._builder.state
        stats.lateness_ms = self._lateness.summary()
        counted = (stats.feed.received, self._journal.data_frames)
        sealer.finish(state, self._recording.verdict, self._journal.disk.closed, stats.lateness_ms, counted)
        made = sealer.manifest.tally.rows
        report = {
            name_of(sink.store): {
                table: Stored(
                    sink.stats.tables.get(table, 0), rows.made - sink.stats.tables.get(table, 0), sink.stats.through
                )
                for table, rows in made.items()
            }
            for sink in self._sinks
        }
        write_report(self._name.folder, report)
        return report


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
