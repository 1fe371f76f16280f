"""The handler behind `setup_session_logger`: one, at the root logger, with its threads, console and files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from kalshi_trio.log_console import LogConsole
from kalshi_trio.log_files import LogFiles, cannot_write
from kalshi_trio.log_lines import Layout, Line
from kalshi_trio.log_queue import LogQueue
from kalshi_trio.log_rotation import Limits

CLOSE_SECONDS = 2.0


class LogSettings(NamedTuple):
    """`LogConfig` and the environment, resolved."""

    console_level: int
    file_level: int
    limits: Limits
    layout: Layout


class Counts(NamedTuple):
    """Records of a session, by how bad they are."""

    errors: int
    warnings: int


class SessionLog(logging.Handler):
    """Counts records and hands their lines to console and files; `modules` as in `LogFiles`.

    A folder that cannot be written is said on the console; `files` is None then.
    """

    def __init__(
        self, settings: LogSettings, folder: Path, stamp: str, modules: Collection[str], console: Console | None
    ) -> None:
        super().__init__(min(settings.console_level, settings.file_level))
        self.settings, self.stamp = settings, stamp
        self.started = time.monotonic()
        self._counting = threading.RLock()
        self._errors = self._warnings = 0
        self.console = LogConsole(console)
        self._to_console = LogQueue("log console", self.console.write, self._remark)
        self.files: LogFiles | None = None
        self._to_files: LogQueue | None = None
        try:
            self.files = LogFiles(folder, stamp, settings.limits, modules, self.say)
        except OSError as error:
            self.say(logging.ERROR, cannot_write(folder, error))
        else:
            self._to_files = LogQueue("log files", self.files.write, self._remark)

    def handle(self, record: logging.LogRecord) -> bool:
        """Takes a record without the handler's lock: a thread that waits for room must not hold up the event loop."""
        kept = bool(self.filter(record))
        if kept:
            self.emit(record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the record on; never raises, never waits for a disk."""
        line = self.settings.layout.line(record)
        if line.level >= logging.WARNING:
            self._count(line.level)
        if line.level >= self.settings.console_level:
            self._to_console.put(line)
        if line.level >= self.settings.file_level and self._to_files:
            self._to_files.put(line)

    def say(self, level: int, text: str) -> None:
        """Shows a line on the console only, past levels and files."""
        self._count(level)
        self._to_console.put(self._remark(level, text))

    @property
    def counts(self) -> Counts:
        """Errors and warnings so far."""
        return Counts(self._errors, self._warnings)

    def drain(self) -> None:
        """Waits until what was logged before is written, at most some seconds. Blocks: not for the event loop."""
        for queue in (self._to_files, self._to_console):
            if queue:
                queue.flush(CLOSE_SECONDS)

    def close(self) -> None:
        """Writes what waits, and closes; a disk or terminal that hangs is left behind after two seconds."""
        self._to_console.close(CLOSE_SECONDS)
        if self._to_files and self.files and self._to_files.close(CLOSE_SECONDS):
            self.files.close()
        super().close()

    def _count(self, level: int) -> None:
        with self._counting:
            if level >= logging.ERROR:
                self._errors += 1
            elif level >= logging.WARNING:
                self._warnings += 1

    def _remark(self, level: int, text: str) -> Line:
        return self.settings.layout.line(logging.LogRecord(__name__, level, __file__, 0, text, None, None))
