"""The files of one session: everything, INFO and above, and one a module.

A disk that refuses is said once, on the console; then the session goes on without files, which are tried again every
half minute. When they can be written again, that and the number of missing lines is said in the same way.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from kalshi_trio.errors import InUse, LocksUnsupported
from kalshi_trio.file_lock import FileLock
from kalshi_trio.log_lines import Line, file_name
from kalshi_trio.log_rotation import Limits, RotatingFile

RETRY_SECONDS = 30.0

Part = tuple[RotatingFile | None, bytes]
"""A file, if there is one, and lines for it."""
Say = Callable[[int, str], None]
"""Shows a line of that level on the console, past all files."""


class LogFiles:
    """Writes lines to the files that are theirs; safe to call from several threads, and raises only when it is made.

    `modules` names the loggers that have a file of their own; it may grow meanwhile. Such files belong to the one
    process that holds the folder's lock (`.lock`); any other writes only session files, and so does every one where the
    file system gives no locks, which is said. Raises OSError where the folder cannot be written at all.
    """

    def __init__(self, folder: Path, stamp: str, limits: Limits, modules: Collection[str], say: Say) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._limits, self._modules, self._say = folder, limits, modules, say
        name = _claim(folder, stamp)
        self.session = RotatingFile(folder / f"SESSION_{name}.log", limits)
        self.events = RotatingFile(folder / f"EVENTS_{name}.log", limits._replace(backups=None))
        self._by_module: dict[str, RotatingFile] = {}
        self._owner = self._own()
        self._lock = threading.Lock()
        self._refused_at = 0.0
        self._retry_at = 0.0
        self._missing = 0

    def write(self, lines: list[Line]) -> None:
        """Writes a batch of lines, in order, with one system call a file."""
        everything: list[str] = []
        events: list[str] = []
        by_module: dict[str, list[str]] = {}
        for line in lines:
            everything.append(line.file)
            if line.level >= logging.INFO:
                events.append(line.file)
            if line.logger in self._modules:
                by_module.setdefault(line.logger, []).append(line.file)
        with self._lock:
            parts: list[Part] = [(self.session, _lines(everything)), (self.events, _lines(events))]
            parts += [(self._module(name), _lines(texts)) for name, texts in by_module.items()]
            self._write(parts, len(lines))

    def write_bulk(self, logger: str, text: bytes, count: int) -> None:
        """Writes `count` ready DEBUG lines of one logger, each with its newline, to the session's and its own file."""
        with self._lock:
            self._write([(self.session, text), (self._module(logger), text)], count)

    def close(self) -> None:
        """Closes all files and gives up the folder's lock."""
        with self._lock:
            for file in (self.session, self.events, *self._by_module.values()):
                file.close()
            self.release()

    def release(self) -> None:
        """Gives up the folder's lock; a forked child calls it for its copy, which would outlive the parent."""
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    def _own(self) -> FileLock | None:
        """The folder's lock; None if another process has it, or nobody can."""
        try:
            return FileLock(self._folder / ".lock", "LOG_DIR")
        except InUse:
            return None
        except LocksUnsupported as error:
            self._say(logging.WARNING, f"No log files by module, only the session's: {error}")
            return None

    def _module(self, logger: str) -> RotatingFile | None:
        if self._owner is None:
            return None
        name = file_name(logger)
        if name not in self._by_module:
            self._by_module[name] = RotatingFile(self._folder / f"{name}.log", self._limits)
        return self._by_module[name]

    def _write(self, parts: list[Part], count: int) -> None:
        if self._refused_at and time.monotonic() < self._retry_at:
            self._missing += count
            return
        try:
            for file, text in parts:
                if file is not None and text and file.write(text):
                    self._relock()
        except OSError as error:
            self._refuse(error, count)
        else:
            if self._refused_at:
                self._resume()

    def _relock(self) -> None:
        """A file was gone; where the folder's lock went with it, ours would keep nobody out any more."""
        if self._owner is not None and not self._owner.in_place:
            self.release()
            self._owner = self._own()

    def _refuse(self, error: OSError, count: int) -> None:
        now = time.monotonic()
        self._missing += count
        self._retry_at = now + RETRY_SECONDS
        if not self._refused_at:
            self._refused_at = now
            self._say(logging.ERROR, cannot_write(self._folder, error))

    def _resume(self) -> None:
        seconds = time.monotonic() - self._refused_at
        self._say(
            logging.WARNING,
            f"Log files are written again after {seconds:.0f}s, at most {self._missing:,} lines missing",
        )
        self._refused_at, self._missing = 0.0, 0


def cannot_write(folder: Path, error: OSError) -> str:
    """The one line about files that cannot be written."""
    return f"Cannot write log files in {folder}: {error.strerror or error}; going on without them"


def _lines(texts: list[str]) -> bytes:
    return ("\n".join(texts) + "\n").encode("utf-8", "backslashreplace") if texts else b""


def _claim(folder: Path, stamp: str) -> str:
    """Makes the session's file, as `_2`, `_3` … if somebody has that name: two writers would tear its rotation."""
    number = 1
    while True:
        name = stamp if number == 1 else f"{stamp}_{number}"
        try:
            (folder / f"SESSION_{name}.log").touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return name
