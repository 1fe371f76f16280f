"""The architecture on one screen: every channel opened, every task started, nested in the order in which they end.

    feed ⇄ subscriber ─▶ journal ═▶ builder ─▶ rows ─▶ window ═▶ a writer a sink

Stopping is draining, from the left: the feed ends its connection, the journal writes what it has, the builder reads to
the journal's end, the rows' window closes, the writers store what is left. Deadlines stand behind it (`Session`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from kalshi_trio.errors import JournalError
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.digest import Digests
from kalshi_trio.journal.reader import Reader
from kalshi_trio.journal.writer import Journal
from kalshi_trio.logging_config import get_logger, open_session_log
from kalshi_trio.observe.delta_log import DeltaLog
from kalshi_trio.observe.lateness import Lateness
from kalshi_trio.observe.standstill import Standstill
from kalshi_trio.observe.stats import SinkStats, Stats
from kalshi_trio.protocol.builder import Builder, Made, SegmentEnd
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.rebuild import Rebuild, RowReader
from kalshi_trio.row_window import RowWindow
from kalshi_trio.sealing import Sealer
from kalshi_trio.session import Session
from kalshi_trio.tasks.builder import Seen, look, run_builder
from kalshi_trio.tasks.rows import run_rows
from kalshi_trio.tasks.writer import Sink, Source, run_writer
from kalshi_trio.thread import Door

log = get_logger(__name__)

WINDOW_BYTES = 128 << 20
"""Rows kept in memory for sinks that are a little late."""
MADE_WAITING = 4
SIGNALS_WAITING = 10_000
ENDS_WAITING = 64
SHOWN_MARKETS = 12

Feeding = Callable[[trio.MemoryReceiveChannel[Signal]], Awaitable[None]]
"""What fills the journal until the recording is to end: the feed and the subscriber."""


@dataclass(slots=True)
class Pipeline:
    """One session's parts, made by whoever starts it."""

    session: Session
    journal: Journal
    builder: Builder
    stats: Stats
    sinks: Sequence[Sink]
    older: Sequence[Source]
    """Sessions that some sink does not hold to their end yet: they are stored first, the oldest first."""
    sealer: Sealer
    lateness: Lateness
    begin: Callable[[], None]
    """Blocking: makes the session's folder, once the sinks have not refused."""
    stored: set[tuple[str, str]] = field(default_factory=set)
    """Which older session is whole in which sink by now."""
    _door: Door = field(default_factory=Door)

    async def run(self, feeding: Feeding, end: Callable[[], None]) -> None:
        """Until `feeding` has ended and everything behind it has run dry.

        `end` appends the session's last record, once the builder has seen all others: it says what became of them.
        """
        start_soon, start, stats = self.session.start_soon, self.session.start, self.stats
        self.journal.watch = self._late("fsync")
        window, delta_log, seen = RowWindow(WINDOW_BYTES), DeltaLog(), Seen()
        made_in, made_out = trio.open_memory_channel[Made | SegmentEnd | Checkpoint](MADE_WAITING)
        signals_in, signals_out = trio.open_memory_channel[Signal](SIGNALS_WAITING)
        ends_in, ends_out = trio.open_memory_channel[SegmentEnd](ENDS_WAITING)
        reader = Reader(self.journal)
        live = Source(self.builder.state.session, partial(self._rows_after, window), self.journal.durable, self._last)
        async with trio.open_nursery() as logs:
            start_soon(logs, "delta log", delta_log.run)
            async with trio.open_nursery() as watchers:
                watchers.start_soon(self._watch)
                watchers.start_soon(self._seal, ends_out)
                async with trio.open_nursery() as sinks:
                    for sink in self.sinks:
                        await start(sinks, f"{sink.store.name} writer", self._store, sink, live)
                    await self._door.run(self.begin)
                    async with trio.open_nursery() as builders:
                        shown = (delta_log.offer, self.lateness.rows)
                        told = (partial(self._report, ends_in), self._keep)
                        start_soon(builders, "rows", run_rows, made_out, window, Door(), *told, shown)
                        building = partial(
                            run_builder,
                            self.builder,
                            reader,
                            made_in,
                            signals_in,
                            stats.builder,
                            seen,
                            self._late("book"),
                        )
                        start_soon(builders, "builder", building)
                        async with trio.open_nursery() as journal:
                            await start(journal, "journal", self.journal.run)
                            await feeding(signals_out)
                            await seen.until(self.journal.last_frame)
                            end()
                            self.journal.close()
                watchers.cancel_scope.cancel(reason="all rows are stored")
            delta_log.close()

    async def _store(  # noqa: ASYNC128  the writers call it
        self, sink: Sink, live: Source, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Older sessions first; the first attempt to open the sink decides whether the recorder may start."""
        for number, source in enumerate(self.older):
            older = replace(sink, stats=SinkStats(sink.store.name))
            try:
                await run_writer(older, source, task_status=task_status if not number else trio.TASK_STATUS_IGNORED)
            except (JournalError, OSError) as error:  # an old session that cannot be read must not end a new one
                log.error("Session %s cannot be stored in %s to its end: %s", source.session, sink.store.name, error)  # noqa: TRY400  the text says it all
            else:
                self.stored.add((source.session, sink.store.name))
        await run_writer(sink, live, task_status=trio.TASK_STATUS_IGNORED if self.older else task_status)

    def _rows_after(self, window: RowWindow, after: int) -> RowReader:
        folder, session = self.journal.folder, self.builder.state.session
        journal = self.journal
        return RowReader(
            window, partial(Rebuild, folder, session), lambda: journal.durable_frame, journal.durable, after
        )

    def _last(self) -> int:
        return self.journal.last_frame

    def _late(self, stage: str) -> Callable[[Records], None]:
        """Tells how long after its receipt a frame came so far."""

        def told(records: Records) -> None:
            if records.kind == "frame":
                seconds = (time.time_ns() - records.ts_recv) / 1e9
                self.lateness.add(f"receive_to_{stage}", seconds, len(records.data))

        return told

    async def _report(self, ends: trio.MemorySendChannel[SegmentEnd], end: SegmentEnd, rows: Digests) -> None:
        more = not (self.journal.closed and end.last == self.journal.last_frame)
        await self._door.run(partial(self.sealer.segment, end, rows, more=more))
        with suppress(trio.WouldBlock):  # then it is sealed with the last ones, as it stands
            ends.send_nowait(end)

    async def _keep(self, checkpoint: Checkpoint) -> None:
        await self._door.run(checkpoints.save, self.journal.folder, checkpoint)

    async def _seal(self, ends: trio.MemoryReceiveChannel[SegmentEnd]) -> None:
        """Segments that were closed and looked at are put into large batches, off everybody's path."""
        door = Door()
        async for end in ends:
            await self.journal.durable(end.last + 1)
            for file in self.journal.disk.closed:
                if (file.first, file.last) == (end.first, end.last):
                    try:
                        await door.run(self.sealer.closed, file, self.journal.disk.metadata)
                    except (OSError, JournalError) as error:  # it is sealed with the last ones, as it stands
                        log.warning("Segment %s stays as it was written: %s", file.file, error)

    async def _watch(self) -> None:
        """Once a second: what people look at, and whether a second was one."""
        standstill = Standstill()
        while True:
            due = trio.current_time() + 1
            await trio.sleep_until(due)
            standstill.look(trio.current_time() - due, trio.current_time())
            look(self.builder, self.stats.builder, SHOWN_MARKETS, time.monotonic_ns())
            self.stats.lateness_ms = self.lateness.summary()
            if opened := open_session_log():
                self.stats.errors, self.stats.warnings = opened.counts
