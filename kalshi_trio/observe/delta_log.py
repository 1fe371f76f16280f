"""Every delta a DEBUG line, off the hot path: whole batches of rows, made and written in a worker thread.

The log's disk must not hold up the recording, nor memory grow: once more than `held_rows` rows wait, delta lines are
skipped until all that waits is written, and one line says how many and of which frames. Snapshots keep their line.
"""

from __future__ import annotations

import functools
import logging
from collections import deque

import trio

from kalshi_trio.logging_config import SessionLog, get_logger, open_session_log
from kalshi_trio.observe.delta_lines import delta_lines
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.thread import Door

log = get_logger(__name__)

LOGGER = "kalshi_trio.tasks.builder"
"""Whose lines they are."""
HELD_ROWS = 200_000
"""Some 30 MB."""


class DeltaLog:
    """Takes batches of rows by `offer`, writes their lines in `run`. Used on the event loop only."""

    def __init__(self, held_rows: int = HELD_ROWS) -> None:
        self._waiting: deque[RowBatch] = deque()
        self._limit = held_rows
        self._held = 0
        self._changed = trio.Event()
        self._closed = False
        self._skipped = 0
        self._frames = (0, 0)
        self.door = Door()

    def offer(self, batch: RowBatch) -> None:
        """Takes the batch's deltas and snapshots, or skips its deltas by the rule above. Never waits.

        Where no DEBUG lines go to files, nothing is kept.
        """
        opened = open_session_log()
        if opened is None or opened.files is None or opened.settings.file_level > logging.DEBUG:
            return
        batch = _only(batch, "deltas", "snapshots")
        if self._skipped or (self._held and self._held + batch.rows > self._limit):
            self._skip(batch)
            batch = _only(batch, "snapshots")
        if batch.tables:
            self._hold(batch)

    def close(self) -> None:
        """No more batches: `run` ends when what waits is written."""
        self._closed = True
        self._wake()

    async def run(self) -> None:
        """Until `close`. Safe to cancel: what waits is dropped then."""
        while self._waiting or not self._closed:
            if not self._waiting:
                await self._changed.wait()
                continue
            batch = self._waiting.popleft()
            opened = open_session_log()
            if opened:
                await self.door.run(_write, batch, opened)
            self._held -= batch.rows
            if not self._waiting:
                self._say()
        self._say()

    def _hold(self, batch: RowBatch) -> None:
        """Past twice the limit snapshots are let go, too: a disk that hangs for hours must not cost memory."""
        if not self._held or self._held + batch.rows <= 2 * self._limit:
            self._held += batch.rows
            self._waiting.append(batch)
            self._wake()

    def _skip(self, batch: RowBatch) -> None:
        if "deltas" in batch.tables:
            self._frames = (self._frames[0] if self._skipped else batch.lo, batch.hi)
            self._skipped += batch.tables["deltas"].num_rows

    def _say(self) -> None:
        if self._skipped:
            lo, hi = self._frames
            log.warning("%s delta lines skipped, frames %d-%d (log disk too slow)", f"{self._skipped:,}", lo, hi)
            self._skipped = 0

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _only(batch: RowBatch, *names: str) -> RowBatch:
    return batch._replace(tables={name: batch.tables[name] for name in names if name in batch.tables})


def _write(batch: RowBatch, opened: SessionLog) -> None:
    around = functools.partial(opened.settings.layout.around, LOGGER, logging.DEBUG)
    lines = delta_lines(batch, around)
    if opened.files and lines.number:
        opened.files.write_bulk(LOGGER, lines.text, lines.number)
