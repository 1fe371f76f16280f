"""An import that does not come to its end leaves nothing half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fed import delta
from imports import imported, written

from kalshi_trio.errors import FolderNotWritable, InUse, JournalUnwritable, Stopped, UsageError
from kalshi_trio.history.imports import importer, survey
from kalshi_trio.history.imports.importer import Importer
from kalshi_trio.history.imports.taking import Taken
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.folder import DataLock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "a.jsonl", *(delta(number, "0.4100", "1.00") for number in range(1, 400)))


def left(folder: Path) -> list[Path]:
    return list((folder / "data" / "sessions").glob("*"))


@pytest.mark.parametrize("part", [survey, importer])
def test_a_signal_ends_it_and_nothing_is_left(
    part: object, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "STEP", 10)
    take, seen = Importer._take, survey.Survey.frame

    def taken(self: Importer, number: int, taken: Taken, last_begin: int) -> None:
        if number == 100:
            os.kill(os.getpid(), signal.SIGTERM)
        take(self, number, taken, last_begin)

    def counted(self: survey.Survey, market: str, *, timed: bool) -> None:
        if self.frames == 100 and self.paths:
            os.kill(os.getpid(), signal.SIGTERM)
        seen(self, market, timed=timed)

    if part is importer:
        monkeypatch.setattr(Importer, "_take", taken)
    else:
        monkeypatch.setattr(survey.Survey, "frame", counted)
    with pytest.raises(Stopped, match="stopped by SIGTERM before its end"):
        imported(tmp_path, path)

    assert left(tmp_path) == []


def test_what_a_killed_import_left_behind_is_removed_by_the_next(path: Path, tmp_path: Path) -> None:
    half = tmp_path / "data" / "sessions" / ".SESSION_20261124_050102.tmp"
    half.mkdir(parents=True)
    (half / "000001.arrows").write_bytes(b"half")
    session = imported(tmp_path, path)

    assert left(tmp_path) == [session.folder]


def test_a_full_disk_is_said_and_nothing_is_left(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Disk, _pending: object) -> None:
        raise JournalUnwritable("000001.arrows: No space left on device")

    monkeypatch.setattr(Disk, "write", refuse)
    with pytest.raises(FolderNotWritable, match="No space left on device"):
        imported(tmp_path, path)

    assert left(tmp_path) == []


@pytest.mark.parametrize("more", [b'{"type":"x","conn":9}\n', b'{"conn":9,"frame":{"type":"x"}}\n'])
def test_a_file_that_grows_meanwhile_is_not_imported(
    more: bytes, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Importer.steps

    def growing(self: Importer) -> object:
        with path.open("ab") as file:
            file.write(more)
        return steps(self)

    monkeypatch.setattr(Importer, "steps", growing)
    with pytest.raises(UsageError, match=r"written to while it was read|changed while they were read"):
        imported(tmp_path, path)

    assert left(tmp_path) == []


def test_a_data_folder_that_is_in_use_is_left_alone(path: Path, tmp_path: Path) -> None:
    with DataLock(tmp_path / "data"), pytest.raises(InUse):
        imported(tmp_path, path)


def test_the_command_prints_the_manifest_and_ends_with_the_codes_of_the_contract(path: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kalshi_trio", "import", *arguments]
        folders = ["--data-dir", "data", "--log-dir", "logs", "--no-clickhouse"]
        return subprocess.run([*command, *folders], capture_output=True, text=True, cwd=tmp_path, check=False)  # noqa: S603

    done, empty, nothing = run("--json", path), run(written(tmp_path / "empty.jsonl")), run(tmp_path / "none")

    assert (done.returncode, empty.returncode, nothing.returncode) == (0, 2, 2)
    assert '"verdict": "known gaps"' in done.stdout  # no snapshot came before its deltas
    assert "Imported 399 frames of 1 markets from 1 connections" in done.stderr
    assert "no websocket frame in it" in empty.stderr
    assert "Traceback" not in done.stderr + empty.stderr + nothing.stderr
