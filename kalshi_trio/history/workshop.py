"""Where long work on sessions is done: the data folder held, a log of its own, the signals heard, a diary kept."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial

import trio

from kalshi_trio.errors import FolderNotWritable, InUse, Stopped
from kalshi_trio.file_lock import is_held
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import DataLock, Name, holder_of, new_name
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.sinks_report import Report, of_sink, write_report
from kalshi_trio.logging_config import close_session_logger, get_logger, register_secret, setup_session_logger
from kalshi_trio.observe.progress import Advance, progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.sealing import time_text
from kalshi_trio.session import Session, hear_signals, open_session, watch_signals
from kalshi_trio.settings import Settings
from kalshi_trio.startup import Older, source_of
from kalshi_trio.tasks.writer import Sink, Source, ask_rows, run_writer
from kalshi_trio.thread import Door

log = get_logger(__name__)


@contextmanager
def held(settings: Settings, console: Terminal) -> Iterator[Name]:
    """The data folder, for this process alone, and a session log; a name that no session has. Raises InUse."""
    with DataLock(settings.data_dir) as lock, logged(settings, console) as name:
        lock.announce({"session": name.session, "start": time_text(time.time_ns()), "addresses": []})
        yield name


@contextmanager
def logged(settings: Settings, console: Terminal) -> Iterator[Name]:
    """A session log alone: the data folder is only read, and may be recorded into meanwhile."""
    secret = settings.clickhouse_password.get_secret_value()
    if secret:
        register_secret(secret)
    name = new_name(settings.data_dir, time.time_ns())
    setup_session_logger(settings.log_dir, name.stamp, console=console)
    try:
        yield name
    finally:
        close_session_logger()


@contextmanager
def looked_at(settings: Settings, console: Terminal) -> Iterator[int | None]:
    """The data folder as it stands, with a session log: held against others if that can be.

    Gives None, or the process that holds it (0: nobody knows which), as when a recorder runs; or the folder may not be
    written: then it is held by nobody, unless its lock says otherwise.
    """
    with ExitStack() as stack:
        holder = None
        try:
            stack.enter_context(held(settings, console))
        except InUse:
            holder = holder_of(settings.data_dir)
        except FolderNotWritable as error:
            if is_held(settings.data_dir / "recorder.lock"):
                holder = holder_of(settings.data_dir)
            log.info("It is read as it stands, and held against nobody: %s", error)
        else:
            yield None
            return
        stack.enter_context(logged(settings, console))
        yield holder


@asynccontextmanager
async def work(what: str, *, endless: bool = False) -> AsyncIterator[Session]:
    """A session with its diary, stopped by SIGINT and SIGTERM.

    Raises Stopped if one of them came before the end, unless it has no end of its own.
    """
    with hear_signals() as heard:
        async with open_session(what) as session:
            await session.serve("signals", watch_signals, session, heard)
            yield session
        if session.stop_reason and not endless:
            raise Stopped(f"{what}: stopped by {session.stop_reason} before its end.")


async def all_of(steps: Iterator[int], session: Session, advance: Advance) -> bool:
    """Takes blocking steps in a thread, one after the other; each says how much is done. False: the session is to stop."""
    door = Door()
    while not session.stopping.is_set():
        done = await door.run(next, steps, None)
        if done is None:
            return True
        advance(done)
    return False


async def store(older: Older, sinks: list[Sink], session: Session, console: Terminal) -> None:
    """Brings a session that is over into these sinks: what each lacks of it, exactly once.

    Where the session is to stop, the writers are cancelled: what they have not stored is stored the next time.
    """
    source = source_of(older)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_stop, session, nursery.cancel_scope)
            with progress("Storing", older.last * len(sinks), console) as advance:
                async with trio.open_nursery() as writers:
                    for sink in sinks:
                        session.start_soon(
                            writers, f"{sink.store.name} writer", partial(_write, sink, source, sinks, advance)
                        )
            nursery.cancel_scope.cancel(reason="all rows are stored")
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await ask_rows(sinks, older.session)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            for sink in sinks:
                await sink.door.run(sink.store.close)
            await Door().run(report, older, sinks)


async def _write(sink: Sink, source: Source, sinks: list[Sink], advance: Advance) -> None:
    stored = sink.stored

    def told(batch: object) -> None:
        stored(batch)  # type: ignore[arg-type]  # as the writer gives it
        advance(sum(other.stats.through for other in sinks))

    sink.stored = told
    await run_writer(sink, source)


async def _cancel_on_stop(session: Session, scope: trio.CancelScope) -> None:
    await session.stopping.wait()
    scope.cancel(reason=session.stop_reason)


def report(older: Older, sinks: Sequence[Sink]) -> None:
    """Blocking: what the sinks hold of a session by now, into its sinks.json."""
    manifest = manifests.read(older.folder)
    if manifest is not None:
        write_report(older.folder, stored_in(manifest, older.last, sinks))


def stored_in(manifest: Manifest, last: int, sinks: Sequence[Sink], session: str = "") -> Report:
    """What the sinks held, when they were last asked, of `session` (the manifest's), which ends with record `last`."""
    made = {table: rows.made for table, rows in manifest.tally.rows.items()}
    return {
        sink.store.name.lower(): of_sink(made, sink.there.get(session or manifest.session), last, sink.stats.through)
        for sink in sinks
    }
