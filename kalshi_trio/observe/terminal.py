"""The one console of the process, for log lines and live view alike: only then the two do not overwrite each other."""

from __future__ import annotations

import threading
from typing import Any

from rich.console import Console


class Terminal(Console):
    """Standard error, for several threads at once.

    rich looks where the live view stands when it begins to print, and writes when it ends: with two threads the cursor
    has moved in between, and a view that was just taken away comes back. So each print has its turn.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(stderr=True, **options)
        self.turn = threading.RLock()

    def print(self, *objects: Any, **options: Any) -> None:
        """As in `Console`, one thread after the other."""
        with self.turn:
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Says that nobody reads any more, instead of ending the thread."""
        raise BrokenPipeError

    @property
    def watched(self) -> bool:
        """Whether somebody looks: FORCE_COLOR, which makes rich take a file for a terminal, is for colours only."""
        return self.is_interactive and self.file.isatty()
