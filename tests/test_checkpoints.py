"""Checkpoints inside segments: any of them is as good a start as the beginning, they are found quickly, and cost little."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import recordings
import trio
from fed import A, B, delta, frame, snapshot
from harm import Harm, damaged
from recordings import Session
from written import write

from kalshi_trio.journal import checkpoints, recovery
from kalshi_trio.journal.checkpoints import EVERY, UNKNOWN, Checkpoint, Spacing
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.manifest import write as write_manifest
from kalshi_trio.journal.reader import Reader
from kalshi_trio.journal.reading import last_frame, read_session
from kalshi_trio.journal.writer import Journal
from kalshi_trio.observe.stats import BuilderStats
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import ROW_SCHEMAS
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.rebuild import Rebuild
from kalshi_trio.tasks.builder import Rows, Seen, run_builder

LEVEL = ["0.5000", "10.00"]


def eventful(seed: int, reads: int = 400) -> list[Records]:
    """A session in which books are lost, heal, cross inside an instant, empty, and connections break."""
    random_ = random.Random(seed)  # noqa: S311  test data
    session, seq, connection = Session(), 0, 1
    session.start(A, B)
    session.own("connection", connection, event="open")
    for read in range(reads):
        if random_.random() < 0.02:
            session.own("connection", connection, event="closed", why="broken")
            connection, seq = connection + 1, 0
            session.own("connection", connection, event="open")
        frames = []
        for _ in range(random_.randint(1, 30)):
            seq += 1 if random_.random() < 0.995 else random_.choice((0, 2, 3))
            market, side = random_.choice((A, B)), random_.choice(("yes", "no"))
            if random_.random() < 0.03 or seq < 3:
                levels = [
                    [f"0.{price:02}00", f"{random_.randrange(1, 50)}.00"] for price in random_.sample(range(1, 60), 5)
                ]
                sides = {"yes": levels} if side == "yes" else {"no": levels}
                frames.append(snapshot(seq, market, sid=1, own=0, **sides))
            elif random_.random() < 0.01:
                frames.append(frame("error", 1, seq, msg={"code": 25, "msg": "overflow"}))
            else:
                price, at = f"0.{random_.randrange(1, 60):02}00", f".{read:06}"
                frames.append(delta(seq, price, f"{random_.randrange(-9, 40)}.00", side, market, at=at))
        session.add("frame", connection, frames)
    session.own("connection", connection, event="closed", final=True)
    session.own("session", event="ended", verdict="complete")
    return session.records


def rows_after(folder: Path, after: int, last: int) -> dict[str, pa.Table]:
    """All rows behind that record, made from the nearest checkpoint."""
    rebuild = Rebuild(folder, "s", after)
    batches = []
    while rebuild.builder.state.frame < last:
        batches += rebuild.piece(last)
    return {
        name: pa.concat_tables([schema.empty_table(), *(b.tables[name] for b in batches if name in b.tables)])
        for name, schema in ROW_SCHEMAS.items()
    }


def inside(folder: Path) -> list[int]:
    """The first records of the checkpoints inside segments."""
    return [int(path.stem.partition("_")[2]) for path in sorted(folder.glob("*_*.checkpoint"))]


def assert_rows_from_everywhere(folder: Path) -> None:
    last = last_frame(folder)
    whole = rows_after(folder, 0, last)
    for first in inside(folder):
        found = checkpoints.nearest(folder, first - 1)
        assert found is not None
        assert found.first == first
        for name, table in rows_after(folder, first - 1, last).items():
            behind = whole[name].filter(pa.compute.greater_equal(whole[name]["frame"], first))
            assert table.equals(behind), (name, first)


@pytest.mark.parametrize("seed", range(3))
def test_rows_from_any_checkpoint_equal_rows_from_the_start(seed: int, tmp_path: Path) -> None:
    folder = write(tmp_path, eventful(seed), segment=2_000, every=250)

    assert len(inside(folder)) > 10
    assert_rows_from_everywhere(folder)


@recordings.needed
@pytest.mark.parametrize("how", ["left out", "repeated"])
def test_rows_of_a_real_recording_that_came_to_harm_do_so_too(how: str, tmp_path: Path) -> None:
    harm = Harm("mixed_2026-07-03.jsonl", ("orderbook_delta",), 3_000, 3_000)
    folder = write(tmp_path, recordings.journal(damaged(harm, how, 1), 1), segment=1_000, every=200)

    assert len(inside(folder)) > 8
    assert_rows_from_everywhere(folder)


def test_the_nearest_is_found_without_reading_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        at = Checkpoint(number // 10 + 1, number * 50 + 1, b"%d" % number, number * 10, inside=number % 10 > 0)
        checkpoints.save(tmp_path, at)
    opened, real = list[str](), Path.open

    def seen(path: Path, mode: str = "r") -> Any:
        opened.append(path.name)
        return real(path, mode)

    monkeypatch.setattr(Path, "open", seen)

    found = checkpoints.nearest(tmp_path, 1_234)

    assert found == Checkpoint(3, 1_201, b"24", 240, inside=True)
    assert len(opened) < 10


@pytest.mark.parametrize("length", [0, 30, 60, 80, 500])
def test_damaged_ones_cost_time_and_no_rows(length: int, tmp_path: Path) -> None:
    folder = write(tmp_path, eventful(7, 60), every=100)
    for path in sorted(folder.glob("*.checkpoint"))[1::2]:
        data = path.read_bytes()
        path.write_bytes(
            data[:length] + bytes([1 ^ data[length]]) + data[length + 1 :] if length > 50 else data[:length]
        )
    last = last_frame(folder)
    for after in range(0, last, 90):
        found = checkpoints.nearest(folder, after)
        assert found is not None
        assert found.first <= after + 1
    shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*.checkpoint"))

    assert rows_after(folder, last - 50, last) == rows_after(tmp_path / "bare", last - 50, last)


def test_a_file_of_an_older_form_is_as_good_as_none(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, Checkpoint(1, 1, b"old", 0))
    path = tmp_path / "000001.checkpoint"
    path.write_bytes(path.read_bytes()[8:])

    assert checkpoints.nearest(tmp_path, 10) is None
    assert checkpoints.before(tmp_path, 10) == 0


def test_what_was_received_before_a_time_is_known_without_reading_it_even_if_a_clock_was_set_back(
    tmp_path: Path,
) -> None:
    session = Session(10**18)
    session.start(A)
    for number in range(100):
        session.ts_recv = 10**18 + (number if number < 50 else number - 40) * 10**9
        session.add("frame", 1, [frame("trade", 2, number)])
    folder = write(tmp_path, session.records, segment=30, every=7)

    def first_at(ns: int) -> int:
        return next((run.first for run in session.records if run.ts_recv >= ns), session.records[-1].last + 1)

    for second in range(-1, 65):
        ns = 10**18 + second * 10**9
        known = checkpoints.before(folder, ns)
        assert known < first_at(ns)
        assert first_at(ns) - known <= 7 + 1 + 40 * (second >= 50)


def test_one_whose_times_are_not_known_is_before_none(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, Checkpoint(1, 1, b"", 0))
    checkpoints.save(tmp_path, Checkpoint(2, 100, b""))

    assert checkpoints.before(tmp_path, UNKNOWN) == 0


def test_those_of_records_that_never_reached_the_disk_go_whatever_they_are_called(tmp_path: Path) -> None:
    folder = tmp_path / "sessions" / "SESSION_20261124_050102"
    disk = Disk(folder, {"format": "1", "session": "s"})
    disk.open()
    write_manifest(folder / "manifest.json", Manifest("s", folder.name, "live", "0", ""))
    disk.write([(1, Records(1, "frame", 1, 1, 1, [b"{}"] * 50))])
    for first in (26, 51, 52, 76):
        checkpoints.save(folder, Checkpoint(1, first, b"state", 1, inside=True))
    checkpoints.save(folder, Checkpoint(2, 101, b"state", 1))

    recovery.recover(tmp_path)

    assert inside(folder) == [26, 51]
    assert not (folder / "000002.checkpoint").exists()


def test_a_large_state_is_dumped_rarely() -> None:
    spacing, run = Spacing(), Records(1, "frame", 1, 1, 1, [bytes(250)] * 1_000)
    dumps = {}
    for size in (50_000, 5_000_000):
        dumps[size] = 0
        spacing.dumped(bytes(size))
        for _ in range(2_000):
            spacing.add(run)
            if spacing.due:
                dumps[size] += 1
                spacing.dumped(bytes(size))

    assert dumps == {50_000: 60, 5_000_000: 3}


async def test_a_recording_makes_them_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spacing, "due", property(lambda spacing: spacing._records >= 500))
    journal = Journal(tmp_path / "sessions" / "s", "s", "0")
    records = eventful(3)
    builder = Builder("s")
    rows_in, rows_out = trio.open_memory_channel[Rows](1_000)
    signals_in, _signals = trio.open_memory_channel[Signal](10_000)
    for run in records:
        journal.append(run.kind, run.connection, run.ts_recv, run.mono_ns, run.data)
    journal.close()
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        await run_builder(builder, Reader(journal), rows_in, signals_in, BuilderStats(), Seen(), lambda _: None)
    for item in [item async for item in rows_out]:
        if isinstance(item, Checkpoint):
            checkpoints.save(journal.folder, item)

    assert inside(journal.folder)
    assert [run.first for found in read_session(journal.folder) for run in found.records][:1] == [1]
    assert_rows_from_everywhere(journal.folder)


def test_what_has_one_near_enough_gets_no_second(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, Checkpoint(1, 1, b"", 0))
    for first in (2, EVERY, EVERY + 1, EVERY + 2, 3 * EVERY):
        checkpoints.save_missing(tmp_path, Checkpoint(1, first, b"", 0, inside=True))

    assert inside(tmp_path) == [EVERY + 1, 3 * EVERY]
