"""The one thread that draws on the terminal.

A terminal may stop taking bytes for as long as it likes (Ctrl-S, a slow line), and the recording must not stop with it:
so whoever shows something here never waits, and what was not drawn in time is replaced by what came after it.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from rich.console import Group, RenderableType
from rich.live import Live
from rich.segment import Segment, Segments

from kalshi_trio.observe.terminal import Terminal


class Screen:
    """Draws the newest of what `show` is given, below the lines that others print to the same console."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._newest: RenderableType | None = None
        self._changed = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="live view", daemon=True)
        self._thread.start()

    def show(self, picture: RenderableType) -> None:
        """Replaces what is shown; never waits, and does nothing once the terminal is gone."""
        self._newest = picture
        self._changed.set()

    def close(self, seconds: float = 1.0) -> None:
        """Takes the picture away again; a terminal that takes no bytes is left behind after so many seconds."""
        self._closed = True
        self._changed.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        # ValueError: a closed stream. Whoever logs says so; a terminal that is gone is no reason to end anything.
        with suppress(OSError, ValueError):
            live = Live(
                Group(),
                console=self._console,
                auto_refresh=False,
                transient=True,  # what stays are the lines of the log and the summary
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._draw_on(live)

    def _draw_on(self, live: Live) -> None:
        turn = self._console.turn
        with turn:
            live.start()
        try:
            while True:
                self._changed.wait()
                self._changed.clear()
                if self._closed:
                    return
                drawn = self._drawn()
                with turn:
                    live.update(drawn, refresh=True)
        finally:
            with turn:
                live.stop()

    def _drawn(self) -> RenderableType:
        """Laid out once: rich draws the picture again below each line that somebody prints."""
        lines = self._console.render_lines(self._newest or "", pad=False)
        return Segments([part for line in lines for part in (*line, Segment.line())][:-1])
