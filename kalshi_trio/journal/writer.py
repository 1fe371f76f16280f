"""The journal of one session: records are numbered, kept in a memory window, and brought to disk in groups.

`append` never waits and never refuses: what was read from the socket is in the journal. Who reads from the socket asks
`room` before it reads on, so that what waits for the disk stays bounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from kalshi_trio.errors import JournalUnwritable
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.window import Window
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.stats import JournalStats
from kalshi_trio.protocol.records import Kind, Records
from kalshi_trio.thread import Door

log = get_logger(__name__)

LAST_SECONDS = 2.0
"""How long a cancelled journal may wait for its turn to write what it has."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How the journal is cut and how much may wait."""

    flush_seconds: float = 0.05
    """The least time from the beginning of one fsync to that of the next."""
    flush_bytes: int = 8 << 20
    segment_records: int = 1_000_000
    segment_seconds: float = 900.0
    held_bytes: int = 64 << 20
    window_bytes: int = 64 << 20
    retry_seconds: float = 1.0


class Journal:
    """Used on the event loop only; its disk work goes through one door.

    `last_frame` is the last record taken, `durable_frame` the last one fsynced: no sink commits past it.
    """

    def __init__(
        self,
        folder: Path,
        session: str,
        software: str,
        *,
        limits: Limits | None = None,
        stats: JournalStats | None = None,
    ) -> None:
        self.folder = folder
        self.session = session
        self.last_frame = 0
        self.durable_frame = 0
        self.data_frames = 0
        """Records of kind `frame` on disk."""
        self.closed = False
        self.unwritable_since: float | None = None
        """Trio's time since which the disk refuses, None while it does not."""
        self.disk = Disk(folder, {"format": "1", "session": session, "software": software})
        self.window = Window((limits or Limits()).window_bytes)
        self._limits = limits or Limits()
        self._stats = stats or JournalStats()
        self._door = Door()
        self._segment, self._segment_records, self._segment_at = 1, 0, 0.0
        self.watch: Callable[[Records], None] = _nobody
        """Told of each run of records once it is on disk."""
        self._pending: list[tuple[int, Records]] = []
        self._held = 0
        self._changed = trio.Event()
        self._written = trio.Event()
        self._wanted = trio.Event()
        self.ended = False
        """Everything is on disk and the last segment closed."""

    def append(self, kind: Kind, connection: int, ts_recv: int, mono_ns: int, data: Sequence[bytes]) -> Records:
        """Takes records and numbers them; never waits. None are no record. RuntimeError after `close`."""
        if self.closed:
            raise RuntimeError("the journal is closed")
        records = Records(self.last_frame + 1, kind, connection, ts_recv, mono_ns, data)
        if not data:
            return records
        self._choose_segment(len(data))
        self.last_frame = records.last
        self._held += self.window.put(self._segment, records)
        self._pending.append((self._segment, records))
        self._stats.last_frame, self._stats.held_bytes, self._stats.segment = self.last_frame, self._held, self._segment
        self._changed.set()
        self._changed = trio.Event()
        if self._held >= self._limits.flush_bytes:
            self._wanted.set()
        return records

    def _choose_segment(self, count: int) -> None:
        now = trio.current_time()
        limits = self._limits
        if not self._segment_records:
            self._segment_at = now
        elif self._segment_records >= limits.segment_records or now - self._segment_at >= limits.segment_seconds:
            self._segment, self._segment_records, self._segment_at = self._segment + 1, 0, now
        self._segment_records += count

    async def room(self) -> None:
        """Returns while fewer than `held_bytes` wait for the disk; a checkpoint either way."""
        await trio.lowlevel.checkpoint()
        while self._held >= self._limits.held_bytes and not self.ended:
            await self._written.wait()

    async def durable(self, frame: int) -> None:
        """Waits until record `frame` is on disk."""
        await trio.lowlevel.checkpoint()
        while self.durable_frame < frame:
            await self._written.wait()

    async def changed(self) -> None:
        """Waits for a record or the end."""
        await self._changed.wait()

    def close(self) -> None:
        """No more records will come; `run` ends when all of them are on disk."""
        self.closed = True
        self._changed.set()
        self._changed = trio.Event()
        self._wanted.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Brings records to disk until `close`, then ends the last segment. Retries for as long as the disk refuses.

        At once if the last fsync began `flush_seconds` ago, else then, or when `flush_bytes` wait.
        If it is cancelled, what was taken is still written, once.
        """
        await self._door.run(self.disk.open)
        task_status.started()
        try:
            due = trio.current_time()
            while not (self.closed and not self._pending):
                if not (self._pending or self.closed):
                    await self._changed.wait()
                with trio.move_on_at(due):
                    await self._wanted.wait()
                self._wanted = trio.Event()
                due = trio.current_time() + self._limits.flush_seconds
                if self._pending:
                    await self._flush()
                if self.closed and self._pending:
                    self._wanted.set()
            await self._end()
        except trio.Cancelled:
            if self._pending:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_SECONDS):
                    await self._flush(retry=False)
            raise
        self.ended = True
        self._wake_writers()

    async def _end(self) -> None:
        while True:
            if await self._disk_takes(self.disk.end):
                return
            await trio.sleep(self._limits.retry_seconds)

    async def _flush(self, *, retry: bool = True) -> None:
        pending, held = list(self._pending), self._held
        if not await self._disk_takes(self.disk.write, pending):
            if retry:
                await trio.sleep(self._limits.retry_seconds)
                self._wanted.set()
            return
        del self._pending[: len(pending)]
        self._held -= held
        self.durable_frame = pending[-1][1].last
        self._stats.durable_frame, self._stats.held_bytes = self.durable_frame, self._held
        self._stats.last_fsync_mono_ns = time.monotonic_ns()
        for _, records in pending:
            self.data_frames += len(records.data) if records.kind == "frame" else 0
            self.watch(records)
        self._wake_writers()

    async def _disk_takes(self, call: Callable[..., None], *args: object) -> bool:
        try:
            await self._door.run(call, *args)
        except JournalUnwritable as error:
            if self.unwritable_since is None:
                self.unwritable_since = trio.current_time()
                waiting = self.last_frame - self.durable_frame
                log.error("The journal cannot be written, %d records wait: %s", waiting, error)  # noqa: TRY400 -- a full disk needs no traceback
            self._stats.error = str(error)
            return False
        if self.unwritable_since is not None:
            log.warning("The journal writes again after %.1fs", trio.current_time() - self.unwritable_since)
            self.unwritable_since, self._stats.error = None, ""
        return True

    def _wake_writers(self) -> None:
        self._written.set()
        self._written = trio.Event()


def _nobody(_records: Records) -> None:
    pass
