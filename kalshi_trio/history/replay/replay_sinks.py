"""Where a replay stores: `parquet=DIR`, `clickhouse=URL` or `clickhouse=DIR`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trio

from kalshi_trio.errors import FolderNotWritable, InUse, NotReachable, SinkRefused, SinkUnavailable, UsageError
from kalshi_trio.file_lock import FileLock
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.stats import SinkStats
from kalshi_trio.session import Session
from kalshi_trio.settings import Settings
from kalshi_trio.sinks.base import Store
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded, Server
from kalshi_trio.sinks.gather import Limits
from kalshi_trio.sinks.parquet import ParquetStore
from kalshi_trio.tasks.writer import Sink
from kalshi_trio.thread import Door

log = get_logger(__name__)


def parse_sinks(specs: Sequence[str], settings: Settings) -> list[Sink]:
    """The sinks that these texts mean; nothing is opened yet. Raises UsageError, ConfigError."""
    sinks = [_sink(spec, settings) for spec in specs]
    if twice := next((spec for place, spec in enumerate(specs) if spec in specs[:place]), None):
        raise UsageError(f"--sink {twice} is given twice.")
    if sum(spec.startswith("clickhouse=") and "://" not in spec for spec in specs) > 1:
        raise UsageError("One embedded ClickHouse (--sink clickhouse=DIR) a process is all that its engine allows.")
    return sinks


def _sink(spec: str, settings: Settings) -> Sink:
    kind, _, where = spec.partition("=")
    if kind not in {"parquet", "clickhouse"} or not where:
        raise UsageError(f"--sink {spec}: write parquet=DIR, clickhouse=URL or clickhouse=DIR.")
    if kind == "parquet":
        return _made(ParquetStore(Path(where).absolute()), settings, settings.parquet_flush_secs)
    password = settings.clickhouse_password.get_secret_value()
    place: Embedded | Server = Embedded(Path(where).absolute())
    if "://" in where:
        place = Server(where, settings.clickhouse_user, password)
    # `latest_levels` is about live sessions: an older one that is replayed must not look like the newest.
    store = ClickHouseStore(
        place, settings.clickhouse_database, live=lambda _: False, cluster=settings.clickhouse_cluster
    )
    return _made(store, settings, settings.batch_flush_secs)


def _made(store: Store, settings: Settings, flush_secs: float) -> Sink:
    return Sink(store, Door(), Limits(settings.batch_rows, flush_secs), SinkStats(store.name))


@contextmanager
def held_folders(specs: Sequence[str]) -> Iterator[None]:
    """The Parquet folders among them, for this replay alone: two that write the same session would double its rows.

    Raises InUse, FolderNotWritable, LocksUnsupported. The embedded ClickHouse has a lock of its own.
    """
    with ExitStack() as locks:
        for folder in (Path(spec.partition("=")[2]) for spec in specs if spec.startswith("parquet=")):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                locks.enter_context(FileLock(folder / "_replay.lock", "--sink"))
            except OSError as error:
                raise FolderNotWritable(f"{folder}: {error.strerror}. Choose another folder (--sink).") from error
            except InUse as error:
                raise InUse(f"{folder}: another replay stores there. Stop it, or choose another folder.") from error
        yield


@contextmanager
def reachable(sink: Sink) -> Iterator[None]:
    """Whoever does not answer is not waited for: NotReachable."""
    try:
        yield
    except (SinkUnavailable, SinkRefused) as error:
        raise NotReachable(f"{sink.store.name}: {error}") from error


async def open_all(sinks: Sequence[Sink]) -> None:
    """Opens them. Raises NotReachable, and what `Store.open` raises for its user to mend."""
    for sink in sinks:
        with reachable(sink):
            await sink.door.run(sink.store.open)


async def held_by(sink: Sink, session: str, last: int) -> int:
    """Up to which record an open sink holds the session, which ends at `last`, in all tables. Raises NotReachable."""
    with reachable(sink):
        held = await sink.door.run(sink.store.positions, session)
        return max(await sink.door.run(sink.store.hint, session, held, last), min(held.values()))


async def close_all(sinks: Sequence[Sink]) -> None:
    """Closes them, whatever happens meanwhile."""
    for sink in sinks:
        await sink.door.run(sink.store.close)


async def remove_all(sinks: Sequence[Sink], rows_of: str, session: Session) -> None:
    """Takes all rows of a session out of these sinks, which are open. Where `session` is to stop, it may be half done.

    Raises NotReachable: what is left is consistent, and it may be repeated.
    """
    for sink in sinks:
        log.info("Removing session %s from %s", rows_of, sink.store.name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_interrupt_on_stop, sink, session)
            try:
                await sink.door.run(sink.store.remove, rows_of)
            except (SinkUnavailable, SinkRefused) as error:
                if not session.stopping.is_set():
                    raise NotReachable(f"{sink.store.name}: {error}") from error
            nursery.cancel_scope.cancel(reason="the rows are removed")


async def _interrupt_on_stop(sink: Sink, session: Session) -> None:
    await session.stopping.wait()
    sink.store.interrupt()
