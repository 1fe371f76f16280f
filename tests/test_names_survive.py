"""A power cut takes names that no fsync of their folder has seen: none that counts is left in that state.

No cut can be made here, so this looks at what was asked of the disk: which names a folder had when it was last fsynced.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from recordings import Session
from sink_rows import SESSION, batch

from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.disk import Disk, rewrite
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.sinks.parquet import ParquetStore


class Disks:
    """What would be there after a power cut: names by folder, and files whose bytes were fsynced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._names: dict[Path, set[str]] = {}
        self._whole: set[int] = set()
        fsync, fdatasync = os.fsync, os.fdatasync

        def seen(number: int) -> None:
            fsync(number)
            self._see(number)

        def seen_data(number: int) -> None:
            fdatasync(number)
            self._see(number)

        monkeypatch.setattr(os, "fsync", seen)
        monkeypatch.setattr(os, "fdatasync", seen_data)

    def _see(self, number: int) -> None:
        about = os.fstat(number)
        if stat.S_ISDIR(about.st_mode):
            folder = Path(f"/proc/self/fd/{number}").readlink()
            self._names[folder] = set(os.listdir(folder))  # noqa: PTH208  names
        else:
            self._whole.add(about.st_ino)

    def lost(self, root: Path) -> list[str]:
        """Files and folders below `root` that would be gone or not whole."""
        paths = [path for path in sorted(root.rglob("*")) if not path.name.startswith(".")]
        return [
            str(path.relative_to(root))
            for path in paths
            if path.name not in self._names.get(path.parent, set())
            or (path.is_file() and path.stat().st_ino not in self._whole)
        ]


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Disks:
    return Disks(monkeypatch)


def disk_of(folder: Path) -> Disk:
    disk = Disk(folder, {"format": "1", "session": "s", "software": "0"})
    disk.open()
    return disk


def test_what_the_journal_calls_written_has_a_name_that_lasts(disks: Disks, tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    disk, session = disk_of(tmp_path / "sessions" / "SESSION_1"), Session()
    for segment in (1, 2):
        disk.write([(segment, session.add("frame", 1, [b"{}"]))])
        assert disks.lost(tmp_path) == []
    disk.end()
    assert disks.lost(tmp_path) == []

    for closed in disk.closed:
        rewrite(disk.folder / closed.file, disk.metadata)
        assert disks.lost(tmp_path) == []


def test_manifest_and_checkpoints_have_names_that_last(disks: Disks, tmp_path: Path) -> None:
    manifest = Manifest("s", "SESSION_1", "live", "0", "")
    manifests.write(tmp_path / "manifest.json", manifest)
    checkpoints.save(tmp_path, Checkpoint(1, 1, b"state", 0))
    manifests.write(tmp_path / "manifest.json", manifest)

    assert disks.lost(tmp_path) == []


def test_what_parquet_calls_stored_has_a_name_that_lasts(disks: Disks, tmp_path: Path) -> None:
    store = ParquetStore(tmp_path / "data" / "parquet")
    store.open()
    store.write(batch(1, 10), dict.fromkeys(store.positions(SESSION), 0))
    store.progress(SESSION, 10)

    assert disks.lost(tmp_path) == []
    assert len(list(tmp_path.rglob("*.parquet"))) >= 2
