"""A line that a busy sink would repeat a hundred times a second, shown at most once in one."""

from __future__ import annotations

import logging
import time


class Pace:
    """Logs at INFO at most once a second; what comes in between goes to DEBUG, so the session file misses nothing."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next = 0.0

    def line(self, text: str, *args: object) -> None:
        """One line; `text` and `args` as in `Logger.info`."""
        now = time.monotonic()
        due = now >= self._next
        if due:
            self._next = now + 1.0
        self._logger.log(logging.INFO if due else logging.DEBUG, text, *args)
