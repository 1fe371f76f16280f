"""Whatever lies in an old session's folder: a start mends what it can, says what it leaves alone, and goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from verify_help import checked

from kalshi_trio.journal import manifest
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.names import free_segment, part_path, parts_of, segment_files, segment_of
from kalshi_trio.journal.reading import newest_frame, read_session
from kalshi_trio.protocol.records import Records
from kalshi_trio.startup import left_behind

NAME = "SESSION_20261124_050102"


def died(data: Path, name: str = NAME) -> Path:
    """A session that was killed: two segments, the second one open."""
    folder = data / "sessions" / name
    folder.mkdir(parents=True)
    session = f"{name.removeprefix('SESSION_')}-0011aabb"
    manifest.write(folder / "manifest.json", Manifest(session, name, "live", "0", "2026-11-24T05:01:02Z"))
    disk = Disk(folder, {"session": session, "software": "0"})
    for segment, first in ((1, 1), (2, 11), (2, 21)):
        frames = [b'{"type":"subscribed"}'] * 10
        disk.write([(segment, Records(first, "frame", 1, 1_795_496_462_000_000_000, first, frames))])
    return folder


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    (path / "in it").mkdir(parents=True)


def nowhere(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.parent / "gone")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\x00 nothing of ours [[[[" * 40)


NAMES = [
    *("000003.arrows", "000001_002.arrows", "x.arrows", ".arrows", "000001.index", "000002.index"),
    *("x.index", "000001.checkpoint", "000001_000000000005.checkpoint", "x_y.checkpoint", "checkpoint"),
    *("manifest.json", "sinks.json", "README.md", "000002.arrows.tmp", "manifest.json.tmp", "000003.arrows.tmp"),
]


@pytest.mark.parametrize("make", [pipe, folder, nowhere, empty, garbage])
def test_odd_files_keep_no_start_and_no_other_session_from_being_mended(
    make: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in NAMES:
        data = tmp_path / f"{make.__name__} {name}"
        odd, sound = died(data), died(data, "SESSION_20261125_050102")
        make(odd / name)

        found = {one.folder: one.last for one in left_behind(data, ["parquet"])}

        assert found.get(sound) == 31, name
        blocked = make is folder and name.endswith(".arrows.tmp")  # nothing can be written there
        assert found.get(odd, 0) == (0 if blocked else 31), name
        assert newest_frame(odd) >= 30
        assert sum(len(run.data) for frames in read_session(odd) for run in frames.records) >= 30
        checked(data)  # which raises nothing
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("make", [pipe, folder, nowhere])
def test_what_is_called_like_a_segment_and_is_none_is_said(
    make: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = died(tmp_path)
    make(odd / "000003.arrows")

    (found,) = left_behind(tmp_path, [])

    assert found.last == 31
    assert f"{odd / '000003.arrows'} is left alone" in caplog.text
    assert (odd / "000004.arrows").is_file()  # the record that says how the session ended
    where = {finding.where for one in checked(tmp_path).sessions for finding in one.findings}
    assert "000003.arrows" in where


@pytest.mark.parametrize("make", [pipe, folder, nowhere, empty, garbage])
def test_a_session_folder_that_is_none(make: Callable[[Path], None], tmp_path: Path) -> None:
    sound = died(tmp_path)
    make(tmp_path / "sessions" / "SESSION_20261125_050102")

    assert [one.last for one in left_behind(tmp_path, []) if one.folder == sound] == [31]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd, sound = died(tmp_path), died(tmp_path, "SESSION_20261125_050102")
    (odd / "000002.arrows").chmod(0)

    assert [one.last for one in left_behind(tmp_path, [])] == [0, 31]
    assert f"{odd.name} cannot be mended now" in caplog.text
    assert sound.is_dir()


def test_parts_past_999_and_segments_past_999999_sort_by_number(tmp_path: Path) -> None:
    made = [part_path(tmp_path, segment, part) for segment, part in ((7, 1), (7, 2), (7, 999), (7, 1000), (7, 1001))]
    made += [part_path(tmp_path, 999_999, 1), part_path(tmp_path, 1_000_000, 1), part_path(tmp_path, 1_000_000, 2)]
    for path in reversed(made):
        path.touch()

    assert segment_files(tmp_path) == made
    assert parts_of(tmp_path, 7) == made[:5]
    assert [segment_of(path) for path in made[5:]] == [999_999, 1_000_000, 1_000_000]
    assert free_segment(tmp_path) == 1_000_001


def test_a_thousand_parts_are_put_together_in_order(tmp_path: Path) -> None:
    odd = tmp_path / "sessions" / NAME
    for part in (*range(1, 4), *range(998, 1_003)):
        disk = Disk(odd, {"session": "s", "software": "0"})
        disk.open()
        disk._segment, disk._parts = 1, [Path()] * (part - 1)
        first = 10 * part if part < 900 else 10 * (part - 994)
        disk.write([(1, Records(first, "frame", 1, 1, first, [b"%d" % n for n in range(first, first + 10)]))])

    left_behind(tmp_path, [])

    got = [
        int(data) for frames in read_session(odd) for run in frames.records for data in run.data if run.kind == "frame"
    ]
    assert got == list(range(10, 90))


def test_a_recording_starts_over_a_folder_full_of_such_things(tmp_path: Path) -> None:
    data = tmp_path / "data"
    makes = [pipe, folder, nowhere, empty, garbage]
    for number, name in enumerate(NAMES):
        makes[number % len(makes)](died(data, f"SESSION_20261124_{number:06}") / name)
    command = [sys.executable, "-m", "kalshi_trio", "demo", "--frames", "200", "--speed", "max", "--data-dir", "data"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(  # noqa: S603  our own command
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    newest = manifest.read(max((data / "sessions").glob("SESSION_2026112[5-9]*"), default=Path()))
    assert newest is None or newest.verdict != "open"
    shutil.rmtree(data)
