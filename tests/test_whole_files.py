"""Every file that promises to be whole or absent is: under a model of a power cut, writer by writer.

The model is the disk at its worst: a file that was renamed before it was fsynced is empty afterwards, and a rename whose
folder was not fsynced never was.
"""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from kalshi_trio import fileio
from kalshi_trio.errors import FolderNotWritable
from kalshi_trio.fileio import NameUnsure, replace_whole, whole, write_whole
from kalshi_trio.history import drawing
from kalshi_trio.history.exports.target import Target, packed
from kalshi_trio.history.verify import picture
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import DataLock
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.sinks_report import write_report
from kalshi_trio.session_readme import intact, write_readme
from kalshi_trio.sinks.shelf import LocalShelf

OLD = b"what was there before"


class Disk:
    """What would survive a power cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._synced: set[tuple[int, int, int]] = set()
        self._unsure: dict[Path, bytes | None] = {}
        fsync, replace = os.fsync, Path.replace

        def synced(number: int) -> None:
            fsync(number)
            found = os.fstat(number)
            self._synced.add((found.st_ino, found.st_size, found.st_mtime_ns))
            self._unsure = {
                path: old for path, old in self._unsure.items() if path.parent.stat().st_ino != found.st_ino
            }

        def renamed(path: Path, target: Path) -> Path:
            old = target.read_bytes() if target.is_file() else None
            for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
                found = file.stat()
                if (found.st_ino, found.st_size, found.st_mtime_ns) not in self._synced:
                    os.truncate(file, 0)
            moved = replace(path, target)
            self._unsure[target] = old
            return moved

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "replace", renamed)

    def cut_power(self) -> None:
        for path, old in self._unsure.items():
            if old is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(old)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def a_manifest() -> Manifest:
    return Manifest("20261124_050102-9f3a1c70", "SESSION_20261124_050102", "live", "1.0.0", "2026-11-24T05:01:02Z")


def manifest(folder: Path) -> Path:
    manifests.write(folder / "manifest.json", a_manifest())
    return folder / "manifest.json"


def report(folder: Path) -> Path:
    write_report(folder, {"parquet": {}})
    return folder / "sinks.json"


def checkpoint(folder: Path) -> Path:
    made = checkpoints.Checkpoint(1, 1, b"state" * 1000, 0)
    checkpoints.save(folder, made)
    return folder / made.name


def announcement(folder: Path) -> Path:
    lock = DataLock(folder)
    lock.__enter__()  # left open: leaving takes it away
    lock.announce({"session": "s"})
    return folder / "recorder.json"


def readme(folder: Path) -> Path:
    manifests.write(folder / "manifest.json", a_manifest())
    write_readme(folder, a_manifest(), {})
    assert intact(folder / "README.md")
    return folder / "README.md"


def drawn(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        figure = Figure()
        figure.add_subplot().plot([1, 2], [2, 1])
        drawing.write(figure, folder / name)
        return folder / name

    return write


def coverage(folder: Path) -> Path:
    picture.draw([], folder / "coverage.svg")
    return folder / "coverage.svg"


def exported(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        target = Target(folder / "new" / name)
        target.begin(folder=False)
        file = packed(target.place, name)
        file.write(b"rows" * 1000)
        file.close()
        target.keep()
        return target.path

    return write


def exported_one(folder: Path) -> Path:
    """Of a folder, its one file is meant."""
    target = Target(folder / "book.npz")
    target.begin(folder=True)
    (target.place / "inner.npz").write_bytes(b"rows" * 1000)
    target.only()
    target.keep()
    return target.path


def exported_folder(folder: Path) -> Path:
    target = Target(folder / "books")
    target.begin(folder=True)
    (target.place / "below").mkdir()
    (target.place / "below" / "a.csv").write_bytes(b"rows" * 1000)
    target.keep()
    return target.path / "below" / "a.csv"


def shelved(folder: Path) -> Path:
    LocalShelf(folder).put("deltas/date=2026-11-24/a.parquet", pa.py_buffer(b"rows" * 1000))
    return folder / "deltas" / "date=2026-11-24" / "a.parquet"


WRITERS: dict[str, Callable[[Path], Path]] = {
    "manifest.json": manifest,
    "sinks.json": report,
    "checkpoint": checkpoint,
    "recorder.json": announcement,
    "README.md": readme,
    "png": drawn("a.png"),
    "svg": drawn("a.svg"),
    "coverage": coverage,
    "export": exported("a.jsonl"),
    "export.gz": exported("a.jsonl.gz"),
    "export.zst": exported("a.jsonl.zst"),
    "export, one file": exported_one,
    "export, a folder": exported_folder,
    "parquet": shelved,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_was_written_is_whole_after_a_power_cut(write: Callable[[Path], Path], tmp_path: Path, disk: Disk) -> None:
    path = write(tmp_path)
    before = path.read_bytes()
    disk.cut_power()

    assert path.read_bytes() == before != b""
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_model_empties_what_was_renamed_only(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "a.tmp").write_bytes(b"bytes")
    (tmp_path / "a.tmp").replace(tmp_path / "a")

    assert (tmp_path / "a").read_bytes() == b""
    disk.cut_power()
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("step", ["_write", "_sync_all", "sync_folder"])
@pytest.mark.parametrize("write", ["write_whole", "whole", "replace_whole"])
def test_a_disk_that_refuses_leaves_what_was_there_or_the_new_file_whole(
    step: str, write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, temporary = tmp_path / "a.json", tmp_path / ".a.json.tmp"
    path.write_bytes(OLD)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fileio, step, refuse)
    with pytest.raises(OSError, match="Input/output error") as raised:  # noqa: PT012 -- the last does not raise at each step
        if write == "write_whole":
            write_whole(path, b"new")
        elif write == "whole":
            with whole(path) as place:
                place.write_bytes(b"new")
        else:
            temporary.write_bytes(b"new")
            replace_whole(temporary, path)
        refuse()

    reached = step == "sync_folder" or (step == "_sync_all") == (write == "write_whole")
    reached = reached or (step == "_write" and write != "write_whole")
    assert path.read_bytes() == (b"new" if reached else OLD)
    assert isinstance(raised.value, NameUnsure) == (step == "sync_folder")


def test_a_writer_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fail(place: Path) -> None:
        place.write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError), whole(tmp_path / "a.png") as place:
        fail(place)

    assert list(tmp_path.iterdir()) == []


def test_an_export_that_the_disk_refuses_is_said_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(tmp_path / "a.jsonl")
    target.begin(folder=False)
    target.place.write_bytes(b"rows")

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(FolderNotWritable, match="No space left on device"):
        target.keep()
    target.abandon()

    assert list(tmp_path.iterdir()) == []


def test_a_status_is_written_without_waiting_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("it is written anew each second"))
    write_whole(tmp_path / "status.json", b"{}", durable=False)

    assert (tmp_path / "status.json").read_bytes() == b"{}"


def test_a_packed_export_is_what_was_written(tmp_path: Path) -> None:
    assert gzip.decompress(exported("a.jsonl.gz")(tmp_path).read_bytes()) == b"rows" * 1000
