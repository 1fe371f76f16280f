"""The journal while it is written: nothing twice, nothing lost to a full disk or a cancel, memory bounded."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from sink_fakes import InlineDoor

from kalshi_trio.journal import checkpoints, manifest
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.reader import Reader
from kalshi_trio.journal.reading import closed_files, read_session
from kalshi_trio.journal.writer import Journal, Limits
from kalshi_trio.protocol.records import Records

QUICK = Limits(flush_seconds=0.005, retry_seconds=0.005)


def append(journal: Journal, count: int) -> None:
    """Some reads of a hundred records whose data are their numbers."""
    for _ in range(count):
        first = journal.last_frame + 1
        journal.append("frame", 1, 10**18 + first, first, [b"%d" % n for n in range(first, first + 100)])


def on_disk(journal: Journal) -> list[int]:
    return [int(data) for frames in read_session(journal.folder) for run in frames.records for data in run.data]


def failing(real: Callable[[int], None], times: int) -> Callable[[int], None]:
    left = [OSError(errno.ENOSPC, "No space left on device")] * times

    def call(fd: int) -> None:
        if left:
            raise left.pop()
        real(fd)

    return call


async def test_a_reader_that_falls_behind_again_and_again_gets_each_record_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s", "s", "0", limits=Limits(flush_seconds=0.005, window_bytes=1_000_000))
    reader, got = Reader(journal), list[int]()
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for _ in range(3):
            append(journal, 300)
            await journal.durable(journal.last_frame)
            while len(got) < journal.last_frame:
                for run in (await reader.receive()).records:
                    got.extend(map(int, run.data))
        journal.close()

    assert got == list(range(1, 90_001))


@pytest.mark.parametrize("call", ["fsync", "fdatasync"])
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_disk_that_refuses_while_a_segment_closes_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, times: int
) -> None:
    limits = Limits(flush_seconds=0.005, retry_seconds=0.005, segment_records=200)
    journal = Journal(tmp_path / "s", "s", "0", limits=limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        append(journal, 2)
        await journal.durable(200)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(getattr(os, call), times))
            append(journal, 3)
            await journal.durable(500)
        journal.close()

    assert on_disk(journal) == list(range(1, 501))
    assert [(file.file, file.first, file.last) for file in journal.disk.closed] == [
        ("000001.arrows", 1, 200),
        ("000002.arrows", 201, 400),
        ("000003.arrows", 401, 500),
    ]
    assert journal.unwritable_since is None


async def test_a_disk_that_refuses_at_the_very_end_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "s", "s", "0", limits=QUICK)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        append(journal, 1)
        await journal.durable(100)
        monkeypatch.setattr(os, "fdatasync", failing(os.fdatasync, 2))
        journal.close()

    assert journal.ended
    assert [(file.first, file.last) for file in closed_files(journal.folder)] == [(1, 100)]


async def test_what_was_taken_is_written_even_if_the_journal_is_cancelled(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s", "s", "0", limits=Limits(flush_seconds=100))
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        append(journal, 3)
        nursery.cancel_scope.cancel(reason="test")

    assert on_disk(journal) == list(range(1, 301))
    assert journal.durable_frame == 300
    assert not journal.ended


async def test_room_is_given_only_while_little_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = 50_000
    limits = Limits(flush_seconds=0.005, retry_seconds=0.005, held_bytes=held, window_bytes=held)
    journal = Journal(tmp_path / "s", "s", "0", limits=limits)
    most = 0
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        monkeypatch.setattr(os, "fdatasync", failing(os.fdatasync, 3))
        for _ in range(100):
            append(journal, 1)
            await journal.room()
            most = max(most, journal._held, journal.window._bytes)
        journal.close()

    assert on_disk(journal) == list(range(1, 10_001))
    assert most < held + 10_000


async def test_a_read_that_brought_nothing_is_no_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s", "s", "0", limits=QUICK)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        journal.append("frame", 1, 1, 1, [])
        append(journal, 1)
        journal.close()

    assert on_disk(journal) == list(range(1, 101))


def test_a_checkpoint_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 1))

    checkpoints.save(tmp_path, Checkpoint(2, 10, b"state"))

    assert checkpoints.nearest(tmp_path, 100) is None


def test_manifests_are_chained_even_if_the_process_died_right_after_one(tmp_path: Path) -> None:
    for number in range(1, 5):
        folder = tmp_path / f"SESSION_{number}"
        folder.mkdir()
        about = Manifest(str(number), folder.name, "live", "0", "", ended=f"2026-11-2{number}", verdict="complete")
        if number == 3:
            about.verdict = "open"
            manifest.write(folder / "manifest.json", about)
            continue
        manifest.seal(folder, about)

    chain = {n: found.previous for n in range(1, 5) if (found := manifest.read(tmp_path / f"SESSION_{n}"))}
    assert [link and link.session for link in chain.values()] == [None, "1", None, "2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"SESSION_{n}" for n in range(1, 5)]


async def test_it_writes_at_once_unless_it_just_did(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The least time between two beginnings; what comes meanwhile goes together."""
    journal = Journal(tmp_path / "s", "s", "0", limits=Limits(flush_seconds=0.05))
    journal._door = InlineDoor()
    begun: list[tuple[float, int]] = []
    write = journal.disk.write

    def noted(pending: list[tuple[int, Records]]) -> None:
        begun.append((round(trio.current_time() - start, 3), pending[-1][1].last))
        write(pending)

    monkeypatch.setattr(journal.disk, "write", noted)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        await trio.sleep(1)
        start = trio.current_time()
        for at in (0.0, 0.01, 0.02, 0.3, 0.34, 0.36):
            await trio.sleep_until(start + at)
            append(journal, 1)
        await journal.durable(600)
        journal.close()

    assert begun == [(0.0, 100), (0.05, 300), (0.3, 400), (0.35, 500), (0.4, 600)]
    assert on_disk(journal) == list(range(1, 601))
