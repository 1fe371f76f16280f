"""The writer: brings one session into one sink, exactly once, for as long as it takes.

The sink's rows are the cursor. The writer asks what the sink holds, reads from there, and writes batches; after an
error it asks again and writes what is missing. Whatever the sink does, nothing but this task waits for it: the rows
stay with their source, which is bounded and falls back to the journal on disk.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, TypeVar

import trio

from kalshi_trio.errors import SinkError, SinkUnavailable, UserError
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.stats import SinkStats
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.sinks.base import Store
from kalshi_trio.sinks.batch import beyond
from kalshi_trio.sinks.gather import Gatherer, Limits, Rows
from kalshi_trio.sinks.hints import NEVER
from kalshi_trio.thread import Door

_logger = get_logger(__name__)
_T = TypeVar("_T")

READY_SECS = 3.0
"""How long a start waits for a sink that neither answers nor refuses."""
REFUSED_PAUSE = 60.0
"""Seconds between questions to a sink that said no: somebody has to change something first."""
HINT_EVERY = 30.0
"""Seconds between progress hints."""
BEHIND_NS = 10_000_000_000
"""A batch older than this means that the sink is catching up."""


def pauses() -> Iterator[float]:
    """Seconds to wait before each new try: from a quarter to 15, doubling, each ± 25 %."""
    pause = 0.25
    while True:
        yield pause * random.uniform(0.75, 1.25)  # noqa: S311  jitter, no secret
        pause = min(2 * pause, 15.0)


class Source(NamedTuple):
    """One session's rows, to be read from any frame on, any number of times."""

    session: str
    rows_after: Callable[[int], Rows]
    """Opens the rows of the frames behind that one."""
    durable: Callable[[int], Awaitable[None]]
    """Returns once the journal has that frame on disk."""
    last: Callable[[], int] = lambda: NEVER
    """The last record that the session has by now, as far as that is known: no sink holds more."""


@dataclass
class Sink:
    """A store with its only door, and how it fares with the session that it is being given."""

    store: Store
    door: Door
    limits: Limits
    stats: SinkStats
    stored: Callable[[RowBatch], None] = lambda _: None
    """Called on the event loop with each batch that all tables hold."""
    there: dict[str, Mapping[str, int]] = field(default_factory=dict)
    """Of each session that was asked for (`ask_rows`) the rows that the store holds, table by table."""


async def run_writer(
    sink: Sink, source: Source, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Brings a session into a sink and returns when its rows have ended and all of them are stored.

    Ready (`nursery.start`) after the first attempt to open the sink, at the latest after 3 s. A UserError of that
    attempt is raised (wrong settings, a folder or database in use); a sink that does not answer is waited for, one that
    refuses is asked every 60 s, both without end. No batch is committed before its last frame is durable.
    Cancelling: the call under way is joined (one that waits for the network is ended first); what is not stored yet is
    in `stats.pending_rows` and with the journal. The store stays open.
    """
    writer = _Writer(sink, source)
    if not await writer.open_first(task_status.started):
        task_status.started()
    while True:
        start = await writer.until_done(writer.begin)
        with closing(source.rows_after(start)) as rows:
            if await writer.drain(Gatherer(rows, sink.limits, start, writer.taken)):
                sink.stats.state = "closed"
                return


class _RowsLost(Exception):
    """The sink holds less than it had acknowledged: what is missing must be read again."""


class _Writer:
    def __init__(self, sink: Sink, source: Source) -> None:
        self._sink = sink
        self._store = sink.store
        self._source = source
        self._session = source.session
        self._stats = sink.stats
        self._held: dict[str, int] = {}
        self._uncertain = True
        self._lost = False
        self._counted = 0
        self._hint_due = trio.current_time() + HINT_EVERY

    async def open_first(self, started: Callable[[], None]) -> bool:
        """Opens the store once; only what its user must mend before the start is raised.

        Where that takes long `started` is called meanwhile; returns whether it was.
        """
        failure: UserError | None = None
        late = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_start_late, started, late)
            try:
                await self._call(self._store.open)
                self._uncertain = False
            except SinkError as error:
                self._say(error)
            except UserError as error:
                failure = error  # raised outside, since a nursery would wrap it
            nursery.cancel_scope.cancel(reason="the first attempt has ended")
        if failure is not None:
            raise failure
        return late.is_set()

    async def begin(self) -> int:
        """Asks what the sink holds; returns the frame up to which every table holds the session."""
        if self._uncertain:
            await self._call(self._store.open)
        held = self._held = await self._call(self._store.positions, self._session)
        hint = 0 if self._lost else await self._call(self._store.hint, self._session, dict(held), self._source.last())
        self._uncertain = self._lost = False
        most, last = max(self._held.values()), self._source.last()
        if most > last:
            what = "%s holds session %s up to frame %d, its journal ends at record %d: an end of the journal is missing"
            _logger.error(what, self._store.name, self._session, most, last)
        start = max(hint, min(self._held.values()))
        self._stats.through = start
        self._stats.pending_rows = 0
        _logger.info("%s holds session %s up to frame %d", self._store.name, self._session, start)
        return start

    def taken(self, batch: RowBatch) -> None:
        """Counts rows that have left their source and are not stored yet."""
        self._stats.pending_rows += batch.rows

    async def drain(self, gatherer: Gatherer) -> bool:
        """Stores all that the gatherer brings; False if the sink lost rows and reading must begin anew."""
        while (batch := await gatherer.next()) is not None:
            await self._source.durable(batch.hi)
            try:
                if batch.rows:
                    await self.until_done(partial(self._write, batch))
            except _RowsLost:
                _logger.warning("%s lost rows that it had stored; they are written again", self._store.name)
                return False
            self._count(batch)
            if trio.current_time() >= self._hint_due:
                await self._leave_hint()
        await self._leave_hint()
        return True

    async def until_done(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Does `step`, again and again while the sink does not answer or refuses."""
        waits = pauses()
        since = trio.current_time()
        while True:
            try:
                done = await step()
            except (SinkError, UserError) as error:
                await trio.lowlevel.checkpoint_if_cancelled()  # else an interrupted call would look like an outage
                self._uncertain = True
                self._say(error)
                await trio.sleep(next(waits) if isinstance(error, SinkUnavailable) else REFUSED_PAUSE)
            else:
                if self._stats.state in {"retrying", "refused"}:
                    _logger.info("%s answers again after %.1fs", self._store.name, trio.current_time() - since)
                self._stats.state = "ok"
                return done

    async def _write(self, batch: RowBatch) -> None:
        if self._uncertain:
            await self._ask_again()
        await self._call(self._store.write, batch, dict(self._held))

    async def _ask_again(self) -> None:
        await self._call(self._store.open)
        held = await self._call(self._store.positions, self._session)
        self._lost = any(held.get(table, 0) < frame for table, frame in self._held.items())
        if self._lost:
            raise _RowsLost
        self._held = held
        self._uncertain = False

    def _count(self, batch: RowBatch) -> None:
        stats = self._stats
        for table, rows in batch.tables.items():
            if rows.num_rows:
                self._held[table] = max(self._held[table], rows.column("frame")[-1].as_py())
            new = beyond(rows, self._counted).num_rows
            stats.tables[table] = stats.tables.get(table, 0) + new
            stats.stored_rows += new
        stats.pending_rows -= batch.rows
        self._counted = max(self._counted, batch.hi)
        stats.through = batch.hi
        stats.last_stored_mono_ns = time.monotonic_ns()
        stats.state = "catching up" if batch.ts_last < time.time_ns() - BEHIND_NS else "ok"
        self._sink.stored(batch)

    async def _leave_hint(self) -> None:
        self._hint_due = trio.current_time() + HINT_EVERY
        try:
            await self._call(self._store.progress, self._session, self._stats.through, dict(self._held))
        except SinkError as error:
            _logger.debug("%s took no progress hint: %s", self._store.name, error)

    def _say(self, error: Exception) -> None:
        state: Literal["retrying", "refused"] = "retrying" if isinstance(error, SinkUnavailable) else "refused"
        self._stats.last_error = str(error)
        if self._stats.state == state:
            _logger.debug("%s: %s", self._store.name, error)
        elif state == "retrying":
            _logger.warning("%s does not answer, rows wait in the journal: %s", self._store.name, error)
        else:
            _logger.error("%s refuses, rows wait in the journal (asked again every 60 s): %s", self._store.name, error)
        self._stats.state = state

    async def _call(self, call: Callable[..., _T], *args: object) -> _T:
        return await _called(self._sink, call, *args)


async def ask_rows(sinks: Sequence[Sink], session: str) -> None:
    """Asks each store how many rows of the session it holds, into `Sink.there`; where one does not say, nothing is there.

    For stores whose writers have ended. Cancelling: as `run_writer`.
    """
    for sink in sinks:
        sink.there.pop(session, None)
        if sink.stats.state in {"retrying", "refused"}:
            continue
        try:
            await _called(sink, sink.store.open)
            sink.there[session] = await _called(sink, sink.store.count, session)
        except (SinkError, UserError) as error:
            _logger.warning("%s does not say what it holds of session %s: %s", sink.store.name, session, error)


async def _called(sink: Sink, call: Callable[..., _T], *args: object) -> _T:
    """`door.run`; when cancelled meanwhile, tells the store to end what waits for the network."""
    failure: SinkError | UserError | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_interrupt_if_cancelled, sink.store, nursery.cancel_scope)
        try:
            result = await sink.door.run(call, *args)
        except (SinkError, UserError) as error:
            failure = error  # raised outside, since a nursery would wrap it
        except RuntimeError as error:
            if "start new thread" not in str(error):  # all that Python says where memory for one is short
                raise
            failure = SinkUnavailable(f"no thread for {sink.store.name}: {error}")
        nursery.cancel_scope.cancel(reason="the call has ended")
    if failure is not None:
        raise failure
    return result


async def _start_late(started: Callable[[], None], late: trio.Event) -> None:
    await trio.sleep(READY_SECS)
    started()
    late.set()


async def _interrupt_if_cancelled(store: Store, ended: trio.CancelScope) -> None:
    try:
        await trio.sleep_forever()
    finally:
        if not ended.cancel_called:
            store.interrupt()
