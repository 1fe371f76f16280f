"""After a crash: every record that was called durable is there, in order, and being killed again changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from journal_child import told

from kalshi_trio.errors import JournalUnwritable
from kalshi_trio.journal import checkpoints, manifest, recovery
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.manifest import Manifest, Segment
from kalshi_trio.journal.reading import Hole, closed_files, read_around, read_session
from kalshi_trio.protocol.records import Records

ROUNDS = int(os.environ.get("KALSHI_KILL_ROUNDS", "3"))
NAME = "SESSION_20261124_050102"


def run_of(first: int, count: int) -> Records:
    return Records(first, "frame", 1, 10**18, 1, [told(n) for n in range(first, first + count)])


def read(folder: Path) -> tuple[list[bytes], list[str]]:
    runs = [run for frames in read_session(folder) for run in frames.records]
    return [data for run in runs for data in run.data], [run.kind for run in runs for _ in run.data]


def folder_in(data: Path) -> Path:
    folder = data / "sessions" / NAME
    folder.mkdir(parents=True)
    return folder


def disk_in(folder: Path) -> Disk:
    return Disk(folder, {"format": "1", "session": "s", "software": "0"})


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_a_kill_at_full_speed_loses_nothing_that_was_called_durable(tmp_path: Path, round_number: int) -> None:
    folder = tmp_path / "sessions" / NAME
    command = [sys.executable, str(Path(__file__).with_name("journal_child.py")), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:  # noqa: S603 -- our own file
        assert child.stdout is not None
        durable = 0
        while durable < 2_000 * (round_number + 1):
            durable = int(child.stdout.readline())
        child.kill()
        durable = max([durable, *(int(line) for line in child.stdout.read().split(b"\n")[:-1])])

    (found,) = recovery.recover(tmp_path)
    data, kinds = read(folder)

    assert found.session == "s"
    assert found.last == len(data) > durable
    assert data[:-1] == [told(n) for n in range(1, len(data))]
    assert kinds[-1] == "session"
    assert recovery.recover(tmp_path) == [found]
    assert read(folder)[0] == data
    files = closed_files(folder)
    assert [files[0].first, *(file.last + 1 for file in files)] == [*(file.first for file in files), len(data) + 1]


@pytest.mark.parametrize("kept", [0, 3, 100, 10_000])
def test_a_file_torn_anywhere_is_cut_at_its_last_whole_batch(tmp_path: Path, kept: int) -> None:
    folder = folder_in(tmp_path)
    disk = disk_in(folder)
    disk.write([(1, run_of(1, 500))])
    path = folder / "000001.arrows"
    size = path.stat().st_size
    disk.write([(1, run_of(501, 500))])
    path.write_bytes(path.read_bytes()[: size + kept])

    (found,) = recovery.recover(tmp_path)

    whole = 500 if kept < 10_000 else 1_000
    assert read(folder)[0][:-1] == [told(n) for n in range(1, whole + 1)]
    assert found.last == whole + 1


def test_zeros_behind_the_last_batch_are_no_records(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    disk_in(folder).write([(1, run_of(1, 500))])
    with (folder / "000001.arrows").open("ab") as file:
        file.write(bytes(9_000))

    assert recovery.recover(tmp_path)[0].last == 501


def test_an_earlier_part_is_cut_where_the_later_one_begins(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    disk_in(folder).write([(1, run_of(1, 100))])
    later = disk_in(folder)
    later._segment, later._parts = 1, [folder / "000001.arrows"]
    later.write([(1, Records(61, "frame", 1, 1, 1, [b"right"] * 60))])

    assert recovery.recover(tmp_path)[0].last == 121
    assert read(folder)[0][:-1] == [*(told(n) for n in range(1, 61)), *[b"right"] * 60]
    assert [path.name for path in sorted(folder.glob("*.arrows"))] == ["000001.arrows", "000002.arrows"]


@pytest.mark.parametrize("segments", [(1, 1), (1, 2)])
def test_damage_at_the_end_of_closed_segments_is_a_hole_and_its_numbers_are_not_given_again(
    segments: tuple[int, int], tmp_path: Path
) -> None:
    folder = folder_in(tmp_path)
    disk = disk_in(folder)
    for segment, records in zip(segments, (run_of(1, 200), run_of(201, 300)), strict=True):
        disk.write([(segment, records)])
    disk.end()
    path = folder / f"{segments[-1]:06}.arrows"
    index = read_index(path.with_suffix(".index"))
    assert index is not None
    last = index.entries[-1]
    damaged = bytearray(path.read_bytes())
    damaged[last.offset + last.length // 2] ^= 1
    path.write_bytes(damaged)

    found = [recovery.recover(tmp_path) for _ in range(2)]

    assert found == [[(folder, "s", 501, False, (500, run_of(1, 200).ts_recv))]] * 2
    hole = Hole(segments[-1], 201, 500, f"{path.name}: checksum differs")
    assert list(read_around(folder, 200, 501))[:-1] == [hole]


def test_a_disk_that_does_not_read_costs_no_record_but_the_mending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_in(tmp_path)
    disk_in(folder).write([(1, run_of(1, 500))])
    path, aside = folder / "000001.arrows", tmp_path / "aside"
    path.rename(aside)
    path.symlink_to("/proc/self/mem")  # whose first byte is EIO to who reads it
    manifest.write(folder / "manifest.json", Manifest("s", NAME, "live", "0", ""))

    assert recovery.recover(tmp_path) == [(folder, "s", 0, False, (0, 0))]
    assert "cannot be mended now, the next start tries again: [Errno 5]" in caplog.text
    assert path.is_symlink()

    aside.replace(path)

    assert recovery.recover(tmp_path) == [(folder, "s", 501, False, (500, run_of(1, 500).ts_recv))]


def test_a_disk_that_does_not_write_keeps_no_other_session_from_being_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder_in(tmp_path)
    second = first.with_name(f"{NAME}_2")
    second.mkdir()
    for folder in (first, second):
        disk_in(folder).write([(1, run_of(1, 5))])
    append = recovery._append_recovered

    def full(folder: Path, metadata: dict[str, str], last_run: Records | None, last: int) -> Records:
        if folder == first:
            raise JournalUnwritable("No space left on device")
        return append(folder, metadata, last_run, last)

    monkeypatch.setattr(recovery, "_append_recovered", full)

    assert [found.last for found in recovery.recover(tmp_path)] == [0, 6]

    monkeypatch.undo()

    assert [found.last for found in recovery.recover(tmp_path)] == [6, 6]


def test_nothing_on_disk_is_a_session_without_records(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    (folder / "000001.arrows").write_bytes(b"")

    assert [found.last for found in recovery.recover(tmp_path)] == [0]


def test_without_a_manifest_the_segments_say_whose_they_are(tmp_path: Path) -> None:
    disk_in(folder_in(tmp_path)).write([(1, run_of(1, 5))])

    assert [found.session for found in recovery.recover(tmp_path)] == ["s"]


def test_a_checkpoint_of_records_that_never_reached_the_disk_goes(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    disk_in(folder).write([(1, run_of(1, 50))])
    for segment, first in ((1, 1), (2, 51), (3, 90)):
        checkpoints.save(folder, Checkpoint(segment, first, b"state"))

    recovery.recover(tmp_path)

    assert [path.stem for path in sorted(folder.glob("*.checkpoint"))] == ["000001", "000002"]


def test_a_sealed_segment_is_left_as_it_is_even_if_damaged(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    disk = disk_in(folder)
    disk.write([(1, run_of(1, 50)), (2, run_of(51, 50))])
    disk.end()
    about = Manifest("s", folder.name, "live", "0", "")
    about.segments = [Segment("000001.arrows", (1, 50), 1, disk.closed[0].sha256, state="sealed")]
    manifest.write(folder / "manifest.json", about)
    path = folder / "000001.arrows"
    damaged = path.read_bytes()[:-300] + bytes(200)
    path.write_bytes(damaged)
    path.with_suffix(".index").unlink()

    assert recovery.recover(tmp_path)[0].last == 101
    assert path.read_bytes() == damaged
    assert not path.with_suffix(".index").exists()
