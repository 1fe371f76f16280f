"""A file lock that cannot be had says why, truly, wherever one is taken; and leaves nothing open."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from log_help import STAMP, session_log

from kalshi_trio.errors import FolderNotWritable, InUse, LocksUnsupported
from kalshi_trio.file_lock import FileLock
from kalshi_trio.history.replay.replay_sinks import held_folders
from kalshi_trio.journal.folder import DataLock
from kalshi_trio.logging_config import get_logger
from kalshi_trio.sinks.clickhouse_places import Embedded


def data(folder: Path) -> None:
    with DataLock(folder):
        """Held."""


def embedded(folder: Path) -> None:
    Embedded(folder / "clickhouse").connect()


def replay(folder: Path) -> None:
    with held_folders([f"parquet={folder}"]):
        """Held."""


PLACES: dict[str, Callable[[Path], None]] = {"DATA_DIR": data, "--sink": replay, "(DATA_DIR)": embedded}


def open_files() -> set[str]:
    """Numbers of this process's open descriptors."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def refusing(number: int) -> Callable[[int, int], None]:
    def flock(_fd: int, _how: int) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("setting", PLACES)
def test_a_file_system_without_locks_is_said_to_have_none(
    setting: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(number))
    before = open_files()

    with pytest.raises(LocksUnsupported) as error:
        PLACES[setting](tmp_path)

    said = f"The file system of {tmp_path} does not support locks ({os.strerror(number)})"
    assert str(error.value).startswith(said)
    assert setting in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert "another" not in str(error.value).partition(":")[0]
    assert error.value.exit_code == FolderNotWritable.exit_code == 73
    assert open_files() == before


def test_any_other_reason_is_not_taken_for_a_lack_of_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(errno.EIO))

    with pytest.raises(LocksUnsupported, match=r"a cannot be locked \(Input/output error\),"):
        FileLock(tmp_path / "a", "A_SETTING")


def test_without_locks_the_sessions_logs_are_written_and_the_modules_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
    with session_log(tmp_path / "logs") as logs:
        get_logger("module").info("a line")

        assert logs.messages(f"EVENTS_{STAMP}.log")[-1] == "a line"
        (said,) = [line for line in logs.console() if "locks" in line]

    assert said.startswith("WARNING  | No log files by module, only the session's: The file system of ")
    assert f"{tmp_path / 'logs'} does not support locks (No locks available)" in said
    assert "LOG_DIR" in said
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == [".lock", f"EVENTS_{STAMP}.log", f"SESSION_{STAMP}.log"]


@pytest.mark.parametrize("setting", PLACES)
def test_a_folder_that_somebody_holds_is_said_to_be_in_use(setting: str, tmp_path: Path) -> None:
    name = {"DATA_DIR": "recorder.lock", "--sink": "_replay.lock", "(DATA_DIR)": "clickhouse.lock"}[setting]
    with FileLock(tmp_path / name, setting), pytest.raises(InUse):
        PLACES[setting](tmp_path)

    FileLock(tmp_path / name, setting).release()


def test_a_lock_is_given_up_once_and_may_be_had_again(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "a", "A_SETTING")
    lock.release()
    lock.release()

    with FileLock(tmp_path / "a", "A_SETTING"), pytest.raises(InUse, match="see A_SETTING"):
        FileLock(tmp_path / "a", "A_SETTING")
