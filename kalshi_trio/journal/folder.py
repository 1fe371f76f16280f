"""Where sessions live, what they are called, and who holds the data folder."""

from __future__ import annotations

import datetime
import os
import secrets
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from kalshi_trio.errors import FolderNotWritable, InUse, UsageError
from kalshi_trio.file_lock import FileLock
from kalshi_trio.fileio import write_whole
from kalshi_trio.journal.files import read_regular
from kalshi_trio.journal.names import segment_files
from kalshi_trio.own_hash import checked_json, json_with_hash


class Name(NamedTuple):
    """`stamp`: YYYYMMDD_HHMMSS (UTC); `session`: the id in rows; `folder`: the session's own."""

    stamp: str
    session: str
    folder: Path


def new_name(data: Path, now_ns: int) -> Name:
    """A name nobody has; the folder is not made yet."""
    stamp = datetime.datetime.fromtimestamp(now_ns // 10**9, datetime.UTC).strftime("%Y%m%d_%H%M%S")
    folder, number = data / "sessions" / f"SESSION_{stamp}", 1
    while os.path.lexists(folder):
        number += 1
        folder = data / "sessions" / f"SESSION_{stamp}_{number}"
    return Name(stamp, f"{stamp}-{secrets.token_hex(4)}", folder)


def sessions(data: Path) -> list[Path]:
    """All session folders, oldest first."""
    return sorted(path for path in (data / "sessions").glob("SESSION_*") if path.is_dir())


def resolve(data: Path, name: str) -> Path:
    """The folder that a command's SESSION means: a name, an id, a folder, or `latest`. Raises UsageError."""
    found = sessions(data)
    if name == "latest" and found:
        return found[-1]
    for folder in (Path(name), data / "sessions" / name):
        if (folder / "manifest.json").exists() or segment_files(folder):
            return folder
    for folder in found:
        if name in (folder.name, folder.name.removeprefix("SESSION_")) or _id_of(folder) == name:
            return folder
    known = ", ".join(folder.name for folder in found[-5:]) or "none"
    raise UsageError(f"No session {name!r} in {data} (the newest there: {known}).")


def _id_of(folder: Path) -> str:
    try:
        return str(checked_json(read_regular(folder / "manifest.json"))["session"])
    except (OSError, ValueError, KeyError):
        return ""


def holder_of(data: Path) -> int:
    """The process that said last that it holds the data folder, 0 if nobody did."""
    try:
        return int(checked_json(read_regular(data / "recorder.json"))["pid"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return 0


def refused(data: Path, error: OSError) -> FolderNotWritable:
    """What is said where a data folder's disk refuses: full, read-only, not permitted."""
    return FolderNotWritable(f"{data}: {error.strerror or error}. Make room there, or choose another DATA_DIR.")


class DataLock:
    """Holds a data folder for one process. InUse names the one that has it; FolderNotWritable says why not."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._lock: FileLock | None = None

    def __enter__(self) -> Self:
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self._data / "recorder.lock", "DATA_DIR")
        except OSError as error:
            raise refused(self._data, error) from error
        except InUse as error:
            raise InUse(
                f"{self._data} is in use by another recorder{self._holder()}. Stop it, or choose another DATA_DIR."
            ) from error
        return self

    def _holder(self) -> str:
        pid = holder_of(self._data)
        return f" (pid {pid})" if pid else ""

    def announce(self, about: dict[str, object]) -> None:
        """Writes `recorder.json`: who records here. FolderNotWritable where that is refused."""
        try:
            write_whole(self._data / "recorder.json", json_with_hash({"pid": os.getpid(), **about}))
        except OSError as error:
            raise refused(self._data, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a disk that has become read-only: what it says of us is no lock
            (self._data / "recorder.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()
