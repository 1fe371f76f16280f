"""Log lines on the console, through rich: colours only on a terminal, and none where NO_COLOR is set."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress

from rich.console import Console
from rich.text import Text

from kalshi_trio.log_lines import Line

RECENT = 50
# Colours only: NO_COLOR takes those away, but would leave bold and dim.
STYLES = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


class _Stream(Console):
    """A console that says when nobody reads it any more, instead of ending the thread."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class LogConsole:
    """Writes lines to `console` (standard error unless given) and remembers the last of them for the live view."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _Stream(stderr=True)
        self.recent: deque[Line] = deque(maxlen=RECENT)

    def write(self, lines: list[Line]) -> None:
        """Shows the lines as they are: no markup, no wrapping. A console that is gone is no error."""
        for line in lines:
            self.recent.append(line)
            # ValueError: a closed stream, or one whose encoding lacks a character.
            with suppress(OSError, ValueError):
                text = Text(line.console, style=STYLES.get(line.level, ""))
                self._console.print(text, soft_wrap=True, highlight=False)
