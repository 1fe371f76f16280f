"""The writer against a store that fails before or after each commit, in virtual time and without threads."""

from __future__ import annotations

import datetime
import errno
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_fakes import InlineDoor, MemoryStore, Session
from sink_rows import DAY, SESSION, batch
from trio.testing import MockClock

from kalshi_trio.errors import ConfigError, SinkError, SinkRefused, SinkUnavailable
from kalshi_trio.journal.sinks_report import Stored, of_sink
from kalshi_trio.observe.stats import SinkStats
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.sinks import shelf
from kalshi_trio.sinks.gather import Limits
from kalshi_trio.sinks.parquet import ParquetStore
from kalshi_trio.sinks.shelf import LocalShelf
from kalshi_trio.tasks.writer import Sink, Source, _Writer, ask_rows, run_writer
from kalshi_trio.thread import Door

T = TypeVar("T")
LIMITS = Limits(batch_rows=500, flush_secs=2.0)


async def at_once(_frame: int) -> None:
    await trio.lowlevel.checkpoint()


async def write_all(
    store: MemoryStore,
    session: Session,
    stats: SinkStats | None = None,
    durable: Callable[[int], Awaitable[None]] = at_once,
    limits: Limits = LIMITS,
) -> SinkStats:
    stats = stats or SinkStats("Memory")
    await run_writer(Sink(store, InlineDoor(), limits, stats), Source(SESSION, session.rows_after, durable))
    return stats


def assert_exactly_once(store: MemoryStore, session: Session) -> None:
    assert {table: Counter(rows) for table, rows in store.rows.items()} == session.all_rows()


async def test_every_row_is_stored_once_and_counted() -> None:
    session, store = Session([batch(1, 300), batch(301, 900), batch(901, 950)]), MemoryStore()

    stats = await write_all(store, session)

    assert_exactly_once(store, session)
    made = sum(one.rows for one in session.batches)
    assert (stats.stored_rows, stats.pending_rows, stats.through) == (made, 0, 950)
    assert sum(stats.tables.values()) == made
    assert stats.state == "closed"
    assert store.hints == {SESSION: 950}


async def test_small_batches_are_put_together_until_a_table_has_batch_rows() -> None:
    store = MemoryStore()

    await write_all(store, Session([batch(lo, lo + 99) for lo in range(1, 1001, 100)]))

    assert [(one.lo, one.hi) for one in store.commits] == [(1, 500), (501, 1000)]


async def test_a_batch_is_written_flush_secs_after_its_oldest_row(autojump_clock: MockClock) -> None:
    written: list[float] = []

    class Timed(MemoryStore):
        def write(self, batch: RowBatch, after: dict[str, int]) -> None:
            written.append(trio.current_time() - begun)
            super().write(batch, after)

    begun = trio.current_time()
    await write_all(Timed(), Session([batch(n, n) for n in range(1, 6)], gap=0.9))

    assert written == pytest.approx([0.9 + 2, 2.9 + 3 * 0.9])  # the second one is ended by the end of the rows


async def test_a_change_of_date_ends_a_batch() -> None:
    store = MemoryStore()
    tomorrow = DAY + datetime.timedelta(days=1)

    await write_all(store, Session([batch(1, 9), batch(10, 19, date=tomorrow), batch(20, 29), batch(30, 39)]))

    assert [(one.lo, one.hi, one.date) for one in store.commits] == [(1, 9, DAY), (10, 19, tomorrow), (20, 39, DAY)]


async def test_bytes_end_a_batch_too() -> None:
    store = MemoryStore()

    await write_all(store, Session([batch(n, n) for n in range(1, 11)]), limits=Limits(500, 2.0, batch_bytes=800))

    assert [(one.lo, one.hi) for one in store.commits] == [(1, 4), (5, 8), (9, 10)]


async def test_nothing_is_committed_before_its_frames_are_durable(autojump_clock: MockClock) -> None:
    store, session = MemoryStore(), Session([batch(1, 600)])
    durable = trio.Event()

    async def wait(frame: int) -> None:
        assert frame == 600
        await durable.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(write_all, store, session, durable=wait))
        await trio.sleep(10)
        assert store.commits == []
        durable.set()
    assert_exactly_once(store, session)


async def test_a_restart_reads_on_where_the_sink_ends(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    first = Session([batch(1, 600), batch(601, 700)], ends=False)
    with trio.move_on_after(1):
        await write_all(store, first)

    second = Session([batch(1, 650), batch(651, 1200)])
    await write_all(store, second)

    # Tables that hold less than the others are not behind: `sessions` has no rows at all.
    assert store.rows["deltas"] == [(frame, 0) for frame in range(1, 1201)]
    assert second.starts == [0]
    assert (await write_all(store, third := Session([]))).through == 1200
    assert third.starts == [1200]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.floats(0.05, 0.6))
def test_faults_before_and_after_any_commit_lose_and_double_nothing(seed: int, rate: float) -> None:
    random_ = random.Random(seed)  # noqa: S311  test data

    def faults() -> Iterator[SinkError | None]:
        for _ in range(400):
            kind = random_.choice([SinkUnavailable, SinkUnavailable, SinkRefused])
            yield kind("test") if random_.random() < rate else None
        while True:
            yield None

    ends = sorted({900, *(random_.randrange(1, 900) for _ in range(12))})
    batches = [batch(lo + 1, hi) for lo, hi in zip([0, *ends], ends, strict=False)]
    store, session = MemoryStore(faults()), Session(batches)

    async def run() -> None:
        while True:  # restarted at random moments of virtual time, as after a crash
            with trio.move_on_after(random_.expovariate(1 / 120)) as limit:
                await write_all(store, session)
            if not limit.cancelled_caught:
                return

    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert_exactly_once(store, session)


async def test_an_unsure_answer_keeps_the_batch_and_asks_what_is_held(autojump_clock: MockClock) -> None:
    answers = iter([None, None, None, None, SinkUnavailable("answer cut")])
    store, session = MemoryStore(answers), Session([batch(1, 50)])

    stats = await write_all(store, session)

    assert_exactly_once(store, session)
    assert session.starts == [0]
    assert store.asked == 2
    assert stats.last_error == "answer cut"


async def test_rows_that_the_sink_lost_are_read_again(autojump_clock: MockClock) -> None:
    class Forgetful(MemoryStore):
        def write(self, batch: RowBatch, after: dict[str, int]) -> None:
            if batch.lo == 501 and not self.interrupted:
                self.interrupted = True
                self.rows["deltas"].clear()
                raise SinkUnavailable("restarted with an empty disk")
            super().write(batch, after)

    store, session = Forgetful(), Session([batch(1, 500), batch(501, 1000)])

    stats = await write_all(store, session)

    assert_exactly_once(store, session)
    assert session.starts == [0, 0]
    assert (stats.stored_rows, stats.pending_rows) == (sum(one.rows for one in session.batches), 0)


async def test_a_refusal_is_said_once_and_asked_again_every_minute(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = iter([None, None, None, *[SinkRefused("no permission")] * 5])
    store, session, stats = MemoryStore(refusals), Session([batch(1, 600), batch(601, 700)]), SinkStats("Memory")
    begun = trio.current_time()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_all, store, session, stats)
        await trio.sleep(200)
        assert stats.state == "refused"
        assert stats.pending_rows == session.batches[0].rows  # the rest stays with its source

    assert trio.current_time() - begun == pytest.approx(300, abs=5)
    assert_exactly_once(store, session)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "Memory refuses, rows wait in the journal (asked again every 60 s): no permission"
    ]


class Short(LocalShelf):
    """A disk for which, so many times, something is short."""

    def __init__(self, root: Path, shortages: list[BaseException]) -> None:
        super().__init__(root)
        self.shortages = shortages

    def put(self, path: str, data: pa.Buffer) -> None:
        if self.shortages:
            with shelf._said(path):
                raise self.shortages.pop()
        super().put(path, data)


@pytest.mark.parametrize(
    "shortage",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "x"),
        OSError(errno.ENOMEM, "x"),
        MemoryError(),
    ],
    ids=repr,
)
async def test_what_is_short_for_a_moment_is_tried_again_in_moments(
    shortage: BaseException, autojump_clock: MockClock, tmp_path: Path
) -> None:
    store, session, begun = ParquetStore(Short(tmp_path, [shortage] * 5)), Session([batch(1, 50)]), trio.current_time()
    stats = SinkStats("Parquet")
    await run_writer(Sink(store, InlineDoor(), LIMITS, stats), Source(SESSION, session.rows_after, at_once))

    assert stats.stored_rows == batch(1, 50).rows
    assert 3 < trio.current_time() - begun < 12  # 0.25 + 0.5 + … + 4 s


async def test_memory_that_is_short_while_a_file_is_made_passes(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = [pa.lib.ArrowMemoryError("malloc of size 64 failed")] * 3
    write = pq.write_table

    def write_table(*args: object, **settings: object) -> None:
        if short:
            raise short.pop()
        write(*args, **settings)

    monkeypatch.setattr("kalshi_trio.sinks.parquet.pq.write_table", write_table)
    store, session, begun = ParquetStore(tmp_path), Session([batch(1, 50)]), trio.current_time()
    stats = SinkStats("Parquet")
    await run_writer(Sink(store, InlineDoor(), LIMITS, stats), Source(SESSION, session.rows_after, at_once))

    assert stats.stored_rows == batch(1, 50).rows
    assert trio.current_time() - begun < 6


async def test_a_thread_that_cannot_be_started_is_tried_again(autojump_clock: MockClock) -> None:
    class Doorless(InlineDoor):
        left = 4

        async def run(self, call: Callable[..., T], *args: object) -> T:
            if self.left:
                self.left -= 1
                raise RuntimeError("can't start new thread")
            return await super().run(call, *args)

    store, session, begun = MemoryStore(), Session([batch(1, 50)]), trio.current_time()
    sink = Sink(store, Doorless(), LIMITS, SinkStats("Memory"))
    await run_writer(sink, Source(SESSION, session.rows_after, at_once))

    assert_exactly_once(store, session)
    assert trio.current_time() - begun < 8


async def test_a_hint_beyond_the_journal_or_the_rows_is_not_believed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A restored backup, a deleted table: its rows are written again, from the first frame on."""
    store, session = MemoryStore(), Session([batch(1, 300)])
    await write_all(store, session)
    source = Source(SESSION, Session([batch(1, 300)]).rows_after, at_once, lambda: 300)
    assert await _starts_at(store, source) == 300

    kept = store.rows["trades"]
    store.rows["trades"] = []
    assert await _starts_at(store, source) == 0
    store.rows["trades"] = kept
    assert await _starts_at(store, source._replace(last=lambda: 299)) == 0
    store.kept[SESSION]["through"] = 299
    assert await _starts_at(store, source) == 0
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.partition(" is ignored: ")[2] for line in lines] == [
        f"trades held rows up to frame {kept[-1][0]} then, and now only up to 0",
        "it says frame 300, and the journal ends at 299",
        "its checksum is not that of what it says",
    ]


async def _starts_at(store: MemoryStore, source: Source) -> int:
    stats = SinkStats("Memory")
    return await _Writer(Sink(store, InlineDoor(), LIMITS, stats), source).begin()


async def test_rows_are_counted_by_the_sink_and_not_by_memory(autojump_clock: MockClock) -> None:
    store, session = MemoryStore(), Session([batch(1, 300)])
    sink = Sink(store, InlineDoor(), LIMITS, SinkStats("Memory"))
    await run_writer(sink, Source(SESSION, session.rows_after, at_once))
    store.rows["trades"] = []

    await ask_rows([sink], SESSION)
    made = {table: len(rows) for table, rows in session.all_rows().items()}
    report = of_sink(made, sink.there[SESSION], 300)
    assert report["trades"] == Stored(0, made["trades"], 0)
    assert report["deltas"] == Stored(300, 0, 0)

    store.faults = iter([SinkUnavailable("gone")])
    await ask_rows([sink], SESSION)
    assert SESSION not in sink.there
    assert of_sink(made, sink.there.get(SESSION), 300)["deltas"] == Stored(0, 300, 0)


async def test_a_sink_that_is_down_at_the_start_is_waited_for(autojump_clock: MockClock) -> None:
    store, session = MemoryStore(iter([SinkUnavailable("down")] * 8)), Session([batch(1, 50)])

    async with trio.open_nursery() as nursery:
        sink = Sink(store, InlineDoor(), LIMITS, SinkStats("Memory"))
        await nursery.start(run_writer, sink, Source(SESSION, session.rows_after, at_once))
        assert store.commits == []  # ready, although nothing can be stored yet
    assert_exactly_once(store, session)


async def test_a_sink_that_answers_nothing_does_not_hold_up_the_start(
    autojump_clock: MockClock,
) -> None:
    class SilentDoor(InlineDoor):
        async def run(self, call: Callable[..., T], *args: object) -> T:
            await trio.sleep(60)
            return await super().run(call, *args)

    store, session, begun = MemoryStore(), Session([batch(1, 50)]), trio.current_time()
    async with trio.open_nursery() as nursery:
        sink = Sink(store, SilentDoor(), LIMITS, SinkStats("Memory"))
        await nursery.start(run_writer, sink, Source(SESSION, session.rows_after, at_once))
        assert trio.current_time() - begun == pytest.approx(3)
    assert_exactly_once(store, session)


async def test_foreign_tables_are_raised_at_the_start() -> None:
    class Foreign(MemoryStore):
        def open(self) -> None:
            raise ConfigError("table deltas is somebody else's")

    with pytest.raises(ConfigError, match="somebody else's"):
        await write_all(Foreign(), Session([]))


async def test_cancelling_leaves_what_is_unstored_pending(autojump_clock: MockClock) -> None:
    store = MemoryStore(iter([None, None, None, *[SinkUnavailable("down")] * 10_000]))
    stats = SinkStats("Memory")

    with trio.move_on_after(8):
        await write_all(store, Session([batch(1, 50)]), stats)

    assert stats.pending_rows == batch(1, 50).rows
    assert stats.stored_rows == 0
    assert stats.state == "retrying"


async def test_a_call_that_waits_for_the_network_is_interrupted_when_cancelled() -> None:
    class Hanging(MemoryStore):
        def interrupt(self) -> None:
            super().interrupt()
            ended.set()

    class HangingDoor(Door):
        async def run(self, _call: Callable[..., T], *_args: object) -> T:
            with trio.CancelScope(shield=True):  # as a thread that nobody can cancel
                await ended.wait()
            raise SinkUnavailable("interrupted")

    ended, store = trio.Event(), Hanging()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            sink = Sink(store, HangingDoor(), LIMITS, SinkStats("Memory"))
            nursery.start_soon(run_writer, sink, Source(SESSION, Session([]).rows_after, at_once))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel(reason="SIGTERM")

    assert store.interrupted


async def test_a_hole_in_the_rows_is_our_own_bug_and_raised() -> None:
    with pytest.raises(ValueError, match="frame 60 follow frame 50"):
        await write_all(MemoryStore(), Session([batch(1, 50), batch(60, 70)]))


async def test_rowless_frames_move_the_position_without_a_row() -> None:
    empty = batch(1, 50)._replace(tables={})
    store = MemoryStore()

    stats = await write_all(store, Session([empty]))

    assert (stats.through, stats.stored_rows) == (50, 0)
    assert store.hints == {SESSION: 50}
    assert store.commits == []
