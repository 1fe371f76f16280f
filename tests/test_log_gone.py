"""Log files that somebody deletes, moves or truncates while the session goes on: no later line is missing."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from log_help import STAMP, Logs, logs
from sink_rows import batch

from kalshi_trio.log_rotation import Limits, RotatingFile
from kalshi_trio.logging_config import flush_logs, get_logger
from kalshi_trio.observe.delta_log import LOGGER, DeltaLog

__all__ = ["logs"]
SESSION, EVENTS, MODULE, DELTAS = (
    f"SESSION_{STAMP}.log",
    f"EVENTS_{STAMP}.log",
    "about_gone.log",
    f"{LOGGER.replace('.', '_')}.log",
)


def deleted(folder: Path) -> None:
    for path in folder.glob("*.log*"):
        path.unlink()


def moved(folder: Path) -> None:
    for path in folder.glob("*.log"):
        path.rename(path.with_name(f"{path.name}.moved"))


def rotated(folder: Path) -> None:
    """As logrotate does unless told otherwise: the new file is there before we are."""
    for path in folder.glob("*.log"):
        path.rename(path.with_name(f"{path.name}-20261124"))
        path.touch()


def copied_and_truncated(folder: Path) -> None:
    for path in folder.glob("*.log"):
        shutil.copy(path, path.with_name(f"{path.name}.copy"))
        os.truncate(path, 0)


def folder_removed(folder: Path) -> None:
    shutil.rmtree(folder)


def folder_moved(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


TIDIERS = (deleted, moved, rotated, copied_and_truncated, folder_removed, folder_moved)
tidied = pytest.mark.parametrize("tidy", TIDIERS, ids=[tidy.__name__ for tidy in TIDIERS])


async def say(text: str) -> None:
    """A line in each kind of file: the session's, the events', a module's, and the deltas', which go past the queue."""
    get_logger("about.gone").info(text)
    flush_logs()
    deltas = DeltaLog()
    deltas.offer(batch(1, 2))
    deltas.close()
    await deltas.run()


@tidied
async def test_every_later_line_is_in_its_file(tidy: Callable[[Path], None], logs: Logs) -> None:
    await say("before")
    for time in ("after", "later"):
        tidy(logs.folder)
        if time == "after" and tidy is folder_moved:
            shutil.rmtree(logs.folder.with_name("moved"))
        await say(time)

        for name in (SESSION, EVENTS, MODULE):
            assert logs.messages(name).count(time) == 1, name
        for name in (SESSION, DELTAS):
            assert sum(message.startswith("Delta: ") for message in logs.messages(name)) == 2, name
    assert not [line for line in logs.console() if "Cannot write" in line]


@pytest.mark.parametrize("tidy", [folder_removed, folder_moved])
async def test_a_folder_that_is_made_anew_is_locked_anew(tidy: Callable[[Path], None], logs: Logs) -> None:
    await say("before")
    tidy(logs.folder)
    await say("after")

    with (logs.folder / ".lock").open("w") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_deleted_between_the_look_and_the_write_gets_its_lines_in_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, put = tmp_path / "a.log", RotatingFile._put
    file = RotatingFile(path, Limits(0, None))
    file.write(b"before\n")

    def deletes(file: RotatingFile, data: bytes | memoryview) -> None:
        put(file, data)
        if bytes(data) == b"now\n":
            monkeypatch.undo()
            path.unlink()

    monkeypatch.setattr(RotatingFile, "_put", deletes)
    file.write(b"now\n")
    file.write(b"later\n")
    file.close()

    assert path.read_bytes() == b"now\nlater\n"


def test_backups_that_are_deleted_while_it_rolls_cost_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = RotatingFile(path, Limits(4, None))
    for number in range(10):
        file.write(b"%03d\n" % number)
        for older in tmp_path.glob("a.log.*"):
            older.unlink()
    file.close()

    assert path.read_bytes() == b"009\n"


def test_after_copytruncate_it_counts_from_the_start_again(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = RotatingFile(path, Limits(10, None))
    file.write(b"12345678\n")
    os.truncate(path, 0)
    file.write(b"1234567\n")
    file.close()

    assert [found.name for found in tmp_path.iterdir()] == ["a.log"]
