"""One log file that starts anew at a size and keeps the older ones beside it: `.1` (the newest), `.2` and so on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Limits(NamedTuple):
    """When a file starts anew, and how many older ones are kept."""

    max_bytes: int
    """0: never."""
    backups: int | None
    """None: all; 0: the file never starts anew."""


class RotatingFile:
    """Appends whole lines, unbuffered: what `write` returned from has reached the operating system.

    Rolls over between lines, before the line that would pass the limit. Not thread-safe: its owner holds a lock.
    Nothing is opened before the first write. A file that somebody deletes, moves or truncates while it is open (`rm
    logs/*`, logrotate) costs no later line: each write looks first whether the name is still that file's (2 µs), and
    afterwards whether the file has any name left, else the same lines go to a new one.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._max_bytes = limits.max_bytes if limits.backups != 0 else 0
        self._backups = limits.backups
        self._file = -1
        self._identity = (0, 0)
        self._size = 0
        self._torn = False

    def write(self, text: bytes) -> bool:
        """Writes lines, each with its newline; whether the file had to be made anew, since it was gone.

        Raises OSError; the next call then begins on a new line.
        """
        anew = self._gone()
        if anew:
            self.close()
            self._torn = False
        self._open()
        if self._torn:
            self._append(b"\n")
            self._torn = False
        at = 0
        while at < len(text):
            end = self._fitting(text, at)
            if end == at:
                self._roll()
            else:
                self._append(memoryview(text)[at:end])
            at = end
        return anew

    def close(self) -> None:
        """Closes the file; a later write would open it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _gone(self) -> bool:
        """Whether the open file no longer has its name. Also takes in its size, which others can change."""
        if self._file < 0:
            return False
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # nobody can tell: the open file is as good as ever
            return False
        self._size = found.st_size
        return (found.st_dev, found.st_ino) != self._identity

    def _fitting(self, text: bytes, at: int) -> int:
        """The end of the lines from `at` on that this file still takes; `at` itself if it must roll over first."""
        room = self._max_bytes - self._size
        if not self._max_bytes or len(text) - at <= room:
            return len(text)
        end = text.rfind(b"\n", at, at + max(room, 0)) + 1
        if end > at or self._size:
            return max(end, at)
        return (text.find(b"\n", at) + 1) or len(text)

    def _open(self) -> None:
        if self._file < 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            found = os.fstat(self._file)
            self._size, self._identity = found.st_size, (found.st_dev, found.st_ino)

    def _append(self, data: bytes | memoryview) -> None:
        self._put(data)
        if not os.fstat(self._file).st_nlink:  # deleted between the look and the write: nobody will ever see them there
            self.close()
            self._open()
            self._put(data)

    def _put(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            try:
                written = os.write(self._file, left)
            except OSError:
                self._torn = self._torn or len(left) < len(data)
                raise
            self._size += written
            left = left[written:]

    def _roll(self) -> None:
        """Shifts the older files up to the first free number; where there is none, the oldest is replaced."""
        number = 1
        while number != self._backups and self._older(number).exists():
            number += 1
        for target in range(number, 0, -1):
            with suppress(FileNotFoundError):  # somebody else tidied up
                self._older(target - 1).replace(self._older(target))
        self.close()
        self._open()

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path
