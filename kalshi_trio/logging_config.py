"""The logging system: importing it or calling `get_logger` makes no file and no handler, `setup_session_logger` does.

It can be used on its own by any script, synchronous or Trio:

    logger = get_logger(__name__)
    setup_session_logger()
    logger.info("Something important happened")

Lines go to the console (INFO and above) and, in the log folder, to `SESSION_YYYYMMDD_HHMMSS.log` (everything),
`EVENTS_….log` (INFO and above) and a file a module. A thread writes them; `log_queue.py` says what happens when it
cannot keep up, `log_files.py` what happens when the disk refuses. Loggers that were not made by `get_logger` (other
libraries') are heard from INFO up: at DEBUG one of them alone costs 175 µs a message.
"""

from __future__ import annotations

import atexit
import datetime
import logging
import os
import threading
import time
from pathlib import Path

from rich.console import Console

from kalshi_trio.errors import ConfigError
from kalshi_trio.log_handler import Counts, LogSettings, SessionLog
from kalshi_trio.log_lines import Layout, register_secret
from kalshi_trio.log_rotation import Limits

__all__ = [
    "Counts",
    "LogConfig",
    "SessionLog",
    "close_session_logger",
    "flush_logs",
    "get_logger",
    "open_session_log",
    "register_secret",
    "setup_session_logger",
]

SESSION = "SESSION"


class LogConfig:
    """What `setup_session_logger` goes by: change it on the class before that.

    `LOG_CONSOLE_LEVEL`, `LOG_FILE_LEVEL` (a name or a number), `LOG_MAX_BYTES`, `LOG_BACKUP_COUNT` and `LOG_DIR` in the
    environment outrank it.
    """

    CONSOLE_LEVEL: int = logging.INFO
    FILE_LEVEL: int = logging.DEBUG
    LOG_DIR: str = "./logs"
    maxBytes: int = 10 * 1024 * 1024  # noqa: N815  the guide's name
    """Size in bytes at which a file starts anew; 0: never."""
    backupCount: int = 10  # noqa: N815  the guide's name
    """Older files kept of each file, `EVENTS_….log` apart, of which all are; 0: files never start anew."""
    DETAILED_FORMAT: str = "%(asctime)s | %(name)-30s | %(levelname)-8s | %(message)s"
    CONSOLE_FORMAT: str = "%(levelname)-8s | %(message)s"
    DATE_FORMAT: str = "%Y-%m-%d %H:%M:%S"


_names: set[str] = set()
_setting_up = threading.RLock()
_open: SessionLog | None = None
_root_level = logging.WARNING


def get_logger(name: str) -> logging.Logger:
    """The logger of a module, by `__name__`; once logging is set up, heard at DEBUG and with a file of its own."""
    logger = logging.getLogger(name)
    _names.add(name)
    if _open:
        logger.setLevel(_open.level)
    return logger


def setup_session_logger(
    log_dir: str | Path | None = None, session_time: str | None = None, *, console: Console | None = None
) -> logging.Logger:
    """Opens the session's files and the console, says `=== SESSION STARTED: … ===` and returns the logger SESSION.

    The first call decides; later ones change nothing until `close_session_logger`. `log_dir` is `LOG_DIR` or `./logs`
    unless given, `session_time` (`YYYYMMDD_HHMMSS`, UTC) now. `console` takes the place of standard error. Raises
    ConfigError for settings that make no sense. A folder that cannot be written is no error: it is said on the console,
    and logging goes on without files.
    """
    global _open  # noqa: PLW0603  one session log a process, as there is one root logger
    logger = logging.getLogger(SESSION)
    with _setting_up:
        if _open is None:
            folder = Path(log_dir or os.environ.get("LOG_DIR") or LogConfig.LOG_DIR)
            stamp = session_time or datetime.datetime.now(datetime.UTC).strftime("%Y%m%d_%H%M%S")
            _open = SessionLog(_settings(), folder, stamp, _names, console)
            _listen(_open)
            logger.info("=== SESSION STARTED: %s ===", stamp)
    return logger


def close_session_logger(verdict: str | None = None) -> None:
    """Says `=== SESSION ENDED: … ===`, writes what waits and closes all files. Does nothing if nothing is open.

    Waits a few seconds at most. It is also called when the interpreter exits.
    """
    global _open  # noqa: PLW0603  see setup_session_logger
    with _setting_up:
        closing = _open
        if closing is None:
            return
        text = f"{closing.stamp} after {time.monotonic() - closing.started:.2f}s"
        text += f", errors {closing.counts.errors}, warnings {closing.counts.warnings}"
        text += f", verdict {verdict}" if verdict else ""
        logging.getLogger(SESSION).info("=== SESSION ENDED: %s ===", text)
        _open = None
        _unlisten(closing)
        closing.close()


def open_session_log() -> SessionLog | None:
    """What `setup_session_logger` opened, if it is open: counts, paths, the last lines of the console."""
    return _open


def flush_logs() -> None:
    """Waits until what was logged before is written, at most some seconds. Blocks: not for the event loop."""
    if _open:
        _open.drain()


def _listen(handler: SessionLog) -> None:
    global _root_level  # noqa: PLW0603  put back by _unlisten
    root = logging.getLogger()
    _root_level = root.level
    root.addHandler(handler)
    root.setLevel(max(handler.level, logging.INFO))
    for name in (SESSION, *_names):
        logging.getLogger(name).setLevel(handler.level)


def _unlisten(handler: SessionLog) -> None:
    root = logging.getLogger()
    root.removeHandler(handler)
    root.setLevel(_root_level)
    for name in (SESSION, *_names):
        logging.getLogger(name).setLevel(logging.NOTSET)


def _forget() -> None:
    """In a forked child: threads do not survive a fork, so the child starts without a session log."""
    global _open  # noqa: PLW0603  see setup_session_logger
    if _open:
        _unlisten(_open)
        if _open.files:
            _open.files.release()
        _open = None


def _settings() -> LogSettings:
    limits = Limits(
        _number("LOG_MAX_BYTES", LogConfig.maxBytes),
        _number("LOG_BACKUP_COUNT", LogConfig.backupCount),
    )
    return LogSettings(
        _level("LOG_CONSOLE_LEVEL", LogConfig.CONSOLE_LEVEL),
        _level("LOG_FILE_LEVEL", LogConfig.FILE_LEVEL),
        limits,
        _layout(),
    )


def _level(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip().upper()
    levels = logging.getLevelNamesMapping()
    if not text:
        return default
    if text not in levels and not text.isdigit():
        raise ConfigError(f"{variable} is {text!r}: use DEBUG, INFO, WARNING, ERROR, CRITICAL or a number")
    return levels[text] if text in levels else int(text)


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip().replace("_", "")
    if text and not text.isdecimal():
        raise ConfigError(f"{variable} is {text!r}: use a whole number, 0 or more")
    return int(text) if text else default


def _layout() -> Layout:
    try:
        return Layout(LogConfig.DETAILED_FORMAT, LogConfig.CONSOLE_FORMAT, LogConfig.DATE_FORMAT)
    except (KeyError, TypeError, ValueError) as error:
        formats = f"{LogConfig.DETAILED_FORMAT!r} or {LogConfig.CONSOLE_FORMAT!r}"
        raise ConfigError(f"A format of LogConfig cannot be used ({error!r}): {formats}") from error


atexit.register(close_session_logger)
os.register_at_fork(after_in_child=_forget)
