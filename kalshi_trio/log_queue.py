"""A bounded queue with a thread behind it, so that whoever logs never waits for a disk or a terminal.

What happens when the thread cannot keep up: lines below WARNING are left out past `limit` waiting ones and counted in
one line; WARNING and above have as much room again; past that too (a disk that hangs) they are folded: of each source
line that logs, the last text is kept with how often it came, and written as soon as that goes. So nothing grows without
bound, and no warning disappears. Code outside of Trio's event loop waits up to a second for room first: a plain script
in a tight loop loses nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import trio

from kalshi_trio.log_lines import Line

LIMIT = 10_000
BATCH = 1_000
PATIENCE = 1.0
"""Seconds that a caller outside of the event loop waits for room."""


class LogQueue:
    """Hands lines to `write` in its own thread, in order. `put` never blocks the event loop and never raises.

    `remark` makes a line of a level and a text. `write` must not raise.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[list[Line]], None],
        remark: Callable[[int, str], Line],
        limit: int = LIMIT,
    ) -> None:
        # SimpleQueue: its put is one C call, safe also where a finalizer logs in the middle of another put.
        self._queue: queue.SimpleQueue[Line | threading.Event | None] = queue.SimpleQueue()
        self._write, self._remark, self._limit = write, remark, limit
        self._lock = threading.RLock()
        self._skipped = 0
        self._folded: dict[tuple[str, int], tuple[int, Line]] = {}
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, line: Line) -> None:
        """Takes a line by the rules above."""
        if self._has_room(line) or (not trio.lowlevel.in_trio_run() and self._room_came(line)):
            self._queue.put(line)
        else:
            self._fold(line)

    def flush(self, timeout: float) -> bool:
        """Waits until all that was put before is written; False if that took longer than `timeout` seconds."""
        written = threading.Event()
        self._queue.put(written)
        return written.wait(timeout)

    def close(self, timeout: float) -> bool:
        """Writes what waits and ends the thread; False if it hangs: it is left behind then, as a daemon."""
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _has_room(self, line: Line) -> bool:
        room = self._limit if line.level < logging.WARNING else 2 * self._limit
        return self._queue.qsize() < room

    def _room_came(self, line: Line) -> bool:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            time.sleep(0.002)
            if self._has_room(line):
                return True
        return False

    def _fold(self, line: Line) -> None:
        with self._lock:
            if line.level < logging.WARNING:
                self._skipped += 1
            else:
                count, _ = self._folded.get(line.site, (0, line))
                self._folded[line.site] = (count + 1, line)

    def _remarks(self) -> list[Line]:
        with self._lock:
            skipped, folded = self._skipped, self._folded
            self._skipped, self._folded = 0, {}
        lines = []
        for count, line in folded.values():
            lines.append(line)
            if count > 1:
                lines.append(self._remark(line.level, f"the line before stands for {count:,} like it (log too slow)"))
        if skipped:
            lines.append(self._remark(logging.WARNING, f"{skipped:,} lines below WARNING skipped (log too slow)"))
        return lines

    def _run(self) -> None:
        going = True
        while going:
            batch = [self._queue.get()]
            with suppress(queue.Empty):
                while len(batch) < BATCH:
                    batch.append(self._queue.get_nowait())
            going = None not in batch
            lines = [item for item in batch if isinstance(item, Line)] + self._remarks()
            if lines:
                self._write(lines)
            for item in batch:
                if isinstance(item, threading.Event):
                    item.set()
