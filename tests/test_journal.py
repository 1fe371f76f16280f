"""The journal: every record once, in order, on disk before anybody relies on it; damage costs one batch and is named."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal import recovery
from kalshi_trio.journal.batches import Damage
from kalshi_trio.journal.disk import Disk, rewrite
from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.reader import Reader
from kalshi_trio.journal.reading import closed_files, read_session
from kalshi_trio.journal.writer import Journal, Limits
from kalshi_trio.protocol.records import Kind, Records

LINES = [b'{"type":"trade","n":%d}' % n for n in range(5_000)]


def run_of(first: int, count: int, kind: Kind = "frame") -> Records:
    return Records(first, kind, 1, 10**18 + first, first, [b"%d" % n for n in range(first, first + count)])


def disk_in(folder: Path) -> Disk:
    disk = Disk(folder, {"format": "1", "session": "s", "software": "0"})
    disk.open()
    return disk


def numbers(folder: Path, after: int = 0, through: int | None = None) -> list[int]:
    return [int(data) for frames in read_session(folder, after, through) for run in frames.records for data in run.data]


def refuse(real: Callable[[int], None], times: int) -> Callable[[int], None]:
    """A system call that fails some times, as on a full disk."""
    left = [OSError(errno.ENOSPC, "No space left on device")] * times

    def call(fd: int) -> None:
        if left:
            raise left.pop()
        real(fd)

    return call


async def read_all(reader: Reader) -> list[bytes]:
    got: list[bytes] = []
    while True:
        try:
            frames = await reader.receive()
        except trio.EndOfChannel:
            return got
        for run in frames.records:
            got.extend(run.data)


async def test_what_was_appended_is_read_back_from_memory_and_from_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s", "s", "0", limits=Limits(segment_records=1_200, window_bytes=20_000))
    got: list[bytes] = []

    async def read() -> None:
        got.extend(await read_all(Reader(journal)))

    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        nursery.start_soon(read)
        for at in range(0, len(LINES), 100):
            journal.append("frame", 1, 10**18 + at, at, LINES[at : at + 100])
            await journal.room()
        journal.close()

    back = [data for frames in read_session(tmp_path / "s") for run in frames.records for data in run.data]
    assert got == LINES
    assert back == LINES
    assert journal.durable_frame == len(LINES)
    assert [(file.first, file.last) for file in closed_files(tmp_path / "s")] == [
        (1, 1200),
        (1201, 2400),
        (2401, 3600),
        (3601, 4800),
        (4801, 5000),
    ]


async def test_a_reader_that_fell_out_of_memory_goes_on_from_disk_and_comes_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s", "s", "0", limits=Limits(flush_seconds=0.01, window_bytes=5_000))
    reader = Reader(journal)
    got: list[bytes] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for at in range(0, 4_000, 100):
            journal.append("frame", 1, 10**18, at, LINES[at : at + 100])
        await journal.durable(4_000)
        while len(got) < 4_000:
            for run in (await reader.receive()).records:
                got.extend(run.data)
        journal.append("frame", 1, 10**18, 0, LINES[4_000:])
        for run in (await reader.receive()).records:
            got.extend(run.data)
        journal.close()

    assert got == LINES


async def test_a_cancelled_receive_loses_nothing(autojump_clock: trio.testing.MockClock, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s", "s", "0")
    reader = Reader(journal)
    with trio.move_on_after(1):
        await reader.receive()
    journal.append("frame", 1, 1, 1, [b"a"])
    with trio.CancelScope() as scope:
        scope.cancel(reason="test")
        await reader.receive()

    assert [run.data for run in (await reader.receive()).records] == [[b"a"]]


async def test_after_a_failed_fsync_the_records_are_written_again_to_a_new_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "s", "s", "0", limits=Limits(flush_seconds=0.01, retry_seconds=0.01))
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        journal.append("frame", 1, 1, 1, [b"1", b"2"])
        await journal.durable(2)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", refuse(os.fdatasync, 2))
            journal.append("frame", 1, 2, 2, [b"3"])
            await journal.durable(3)
        parts = sorted(path.name for path in (tmp_path / "s").glob("*.arrows"))
        live = numbers(tmp_path / "s")
        journal.close()

    assert parts == ["000001.arrows", "000001_002.arrows"]
    assert live == numbers(tmp_path / "s") == [1, 2, 3]
    assert [(file.file, file.first, file.last) for file in closed_files(tmp_path / "s")] == [("000001.arrows", 1, 3)]
    assert journal.disk.closed == closed_files(tmp_path / "s")


@pytest.mark.parametrize("place", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_a_flipped_byte_costs_one_batch_and_is_named(tmp_path: Path, place: float) -> None:
    disk = disk_in(tmp_path)
    for first in range(1, 1_001, 100):
        disk.write([(1, run_of(first, 100))])
    disk.end()
    path = tmp_path / "000001.arrows"
    index = read_index(path.with_suffix(".index"))
    assert index is not None
    entries = index[0]
    data = bytearray(path.read_bytes())
    at = entries[0].offset + int((entries[-1].offset + entries[-1].length - entries[0].offset) * place)
    data[at] ^= 0x10
    path.write_bytes(data)
    hit = next(entry for entry in entries if entry.offset <= at < entry.offset + entry.length)

    with pytest.raises(JournalDamaged, match=rf"000001.arrows: records {hit.first_frame}-{hit.last_frame}"):
        numbers(tmp_path)

    found: list[Damage] = []
    got = [
        int(data)
        for frames in read_session(tmp_path, damage=found.append)
        for run in frames.records
        for data in run.data
    ]
    assert [(one.first, one.last) for one in found] == [(hit.first_frame, hit.last_frame)]
    assert got == [n for n in range(1, 1_001) if not hit.first_frame <= n <= hit.last_frame]


def test_reading_can_begin_and_end_anywhere(tmp_path: Path) -> None:
    disk = disk_in(tmp_path)
    for first in range(1, 301, 30):
        disk.write([(1 + first // 100, run_of(first, 30))])
    disk.end()

    for after, through in ((0, None), (29, 31), (30, 30), (149, 260), (300, None)):
        assert numbers(tmp_path, after, through) == list(range(after + 1, (through or 300) + 1))


def test_a_torn_last_batch_is_cut_and_the_session_gets_its_last_record(tmp_path: Path) -> None:
    folder = tmp_path / "sessions" / "SESSION_20261124_050102"
    folder.mkdir(parents=True)
    disk = disk_in(folder)
    disk.write([(1, run_of(1, 10))])
    whole = (folder / "000001.arrows").stat().st_size
    disk.write([(1, run_of(11, 10))])
    path = folder / "000001.arrows"
    path.write_bytes(path.read_bytes()[: whole + 40])

    (first,) = recovery.recover(tmp_path)
    (second,) = recovery.recover(tmp_path)

    assert first.last == second.last == 11
    records = [run for frames in read_session(folder) for run in frames.records]
    assert [run.kind for run in records] == ["frame", "session"]
    assert records[0].last == 10


def test_a_rewritten_segment_holds_the_same_records_in_fewer_bytes(tmp_path: Path) -> None:
    disk = disk_in(tmp_path)
    for first in range(1, 3_001, 20):
        disk.write([(1, run_of(first, 20))])
    disk.end()
    before = [run for frames in read_session(tmp_path) for run in frames.records]

    closed = rewrite(tmp_path / "000001.arrows", {"format": "1"})

    assert [run for frames in read_session(tmp_path) for run in frames.records] == before
    assert closed.bytes < disk.closed[0].bytes / 3
    assert (closed.first, closed.last) == (1, 3_000)
