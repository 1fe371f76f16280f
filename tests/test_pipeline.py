"""The pipeline's order: nothing is stored before its frame is on disk, nothing said of the end before all else is seen."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
from fed import A, delta, snapshot
from sink_fakes import MemoryStore
from sink_rows import SESSION
from trio.testing import wait_all_tasks_blocked

from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.writer import Journal
from kalshi_trio.observe.lateness import Lateness
from kalshi_trio.observe.stats import SinkStats, Stats
from kalshi_trio.pipeline import Feeding, Pipeline
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.sealing import Sealer, verdict_of
from kalshi_trio.session import open_session
from kalshi_trio.sinks.gather import Limits
from kalshi_trio.tasks.writer import Sink, Source
from kalshi_trio.thread import Door

FRAMES = [snapshot(1, yes=[["0.5000", "10.00"]]), *(delta(seq, "0.5000", "1.00") for seq in range(2, 40))]


class Watched(MemoryStore):
    """A store that remembers, of each batch, its last frame and the journal's durable one at that moment."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self.seen: list[tuple[int, int]] = []

    def write(self, batch: RowBatch, after: dict[str, int]) -> None:
        self.seen.append((batch.hi, self._journal.durable_frame))
        super().write(batch, after)


class SlowDisk:
    """Writes nothing until `opened`."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self._write = journal.disk.write
        monkeypatch.setattr(journal.disk, "write", self.write)

    def write(self, pending: list[tuple[int, Records]]) -> None:
        assert self.opened.wait(30)
        self._write(pending)


async def test_rows_wait_in_the_writer_until_their_frames_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, builder = Journal(tmp_path, SESSION, "0"), Builder(SESSION)
    store, disk = Watched(journal), SlowDisk(journal, monkeypatch)
    sink = Sink(store, Door(), Limits(batch_rows=1, flush_secs=0), SinkStats(store.name))

    async def feed(_signals: trio.MemoryReceiveChannel[Signal]) -> None:
        journal.append("frame", 1, 1, 1, FRAMES)
        while not sink.stats.pending_rows:  # noqa: ASYNC110 -- a number tells nobody that it changed
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert journal.durable_frame == 0
        disk.opened.set()

    await run(journal, builder, [sink], feed, lambda: None)

    assert store.seen
    assert [(hi, durable) for hi, durable in store.seen if hi > durable] == []
    assert sum(map(len, store.rows.values())) == sink.stats.stored_rows > len(FRAMES)


async def test_the_end_is_told_once_the_builder_has_seen_all_else(tmp_path: Path) -> None:
    journal, builder = Journal(tmp_path, SESSION, "0"), Builder(SESSION)
    seen = []

    async def feed(_signals: trio.MemoryReceiveChannel[Signal]) -> None:
        journal.append("frame", 1, 1, 1, FRAMES)
        await wait_all_tasks_blocked()
        journal.append("frame", 1, 1, 1, [delta(len(FRAMES) + 5, "0.5000", "1.00")])  # the last frame shows a gap

    await run(journal, builder, [], feed, lambda: seen.append(verdict_of(builder.state)))

    assert seen == ["known gaps"]


class Unreadable:
    """The rows of a session whose disk does not give them back."""

    async def receive(self) -> RowBatch:
        await trio.lowlevel.checkpoint()
        raise OSError(errno.EIO, "Input/output error")

    def close(self) -> None:
        """Nothing is held."""


async def test_an_old_session_that_cannot_be_read_ends_no_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal, builder, store = Journal(tmp_path, SESSION, "0"), Builder(SESSION), MemoryStore()
    sink = Sink(store, Door(), Limits(batch_rows=1, flush_secs=0), SinkStats(store.name))
    old = Source(SESSION, lambda _after: Unreadable(), journal.durable)

    async def feed(_signals: trio.MemoryReceiveChannel[Signal]) -> None:
        await trio.lowlevel.checkpoint()
        journal.append("frame", 1, 1, 1, FRAMES)

    await run(journal, builder, [sink], feed, lambda: None, [old])

    assert f"Session {SESSION} cannot be stored in" in caplog.text
    assert sink.stats.stored_rows > len(FRAMES)


async def run(
    journal: Journal,
    builder: Builder,
    sinks: list[Sink],
    feed: Feeding,
    at_end: Callable[[], object],
    older: Sequence[Source] = (),
) -> None:
    """A session of these parts, from its first record to its last."""
    own = partial(journal.append, "session", 0, 1, 1)

    def end() -> None:
        at_end()
        own([b'{"event":"ended"}'])

    own([json.dumps({"event": "started", "markets": [A]}).encode()])
    async with open_session("test") as session:
        sealer = Sealer(journal.folder, Manifest(SESSION, "s", "live", "0", ""))
        pipeline = Pipeline(session, journal, builder, Stats(), sinks, older, sealer, Lateness(), lambda: None)
        await pipeline.run(feed, end)
