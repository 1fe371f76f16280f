"""What waits, what is left out and what is kept when a disk is slow."""

from __future__ import annotations

import logging
import threading
import time

import pytest
import trio

from kalshi_trio import log_queue
from kalshi_trio.log_lines import Line
from kalshi_trio.log_queue import LogQueue


def line(text: str, level: int = logging.DEBUG, site: int = 1) -> Line:
    return Line(level, "test", text, text, ("test.py", site))


class Slow:
    """A queue of `limit` lines in front of a disk that hangs until `disk` is set."""

    def __init__(self, limit: int) -> None:
        self.disk, self.busy = threading.Event(), threading.Event()
        self.written: list[str] = []
        self.queue = LogQueue("slow", self._write, lambda level, text: line(text, level), limit)
        self.queue.put(line("first"))
        assert self.busy.wait(5)

    async def put(self, *lines: Line) -> None:
        """From inside of the event loop."""
        await trio.lowlevel.checkpoint()
        for line in lines:
            self.queue.put(line)

    def _write(self, lines: list[Line]) -> None:
        self.busy.set()
        assert self.disk.wait(5)
        self.written += [line.file for line in lines]

    def end(self) -> list[str]:
        self.disk.set()
        assert self.queue.close(5)
        return self.written


async def test_lines_below_warning_are_left_out_and_counted_in_one_line() -> None:
    slow = Slow(3)
    await slow.put(*(line(f"debug {number}") for number in range(1_003)))

    assert slow.end() == ["first", "debug 0", "debug 1", "debug 2", "1,000 lines below WARNING skipped (log too slow)"]


async def test_warnings_have_room_when_others_have_none() -> None:
    slow = Slow(3)
    await slow.put(*(line(f"debug {number}") for number in range(5)))
    await slow.put(*(line(f"warning {number}", logging.WARNING) for number in range(3)))

    written = slow.end()
    assert written[4:7] == ["warning 0", "warning 1", "warning 2"]
    assert written[7:] == ["2 lines below WARNING skipped (log too slow)"]


async def test_past_that_no_kind_of_warning_disappears_and_nothing_grows() -> None:
    slow = Slow(2)
    await slow.put(*(line(f"warning {number}", logging.WARNING, site=1) for number in range(1_000)))
    await slow.put(line("an error", logging.ERROR, site=2))

    assert slow.queue._queue.qsize() == 4
    assert slow.end()[5:] == [
        "warning 999",
        "the line before stands for 996 like it (log too slow)",
        "an error",
    ]


async def test_putting_never_waits_in_the_event_loop() -> None:
    slow = Slow(1)
    began = time.perf_counter()
    await slow.put(*[line("debug")] * 1_000)

    assert time.perf_counter() - began < 0.5
    slow.end()


def test_a_plain_script_waits_for_room_and_loses_nothing() -> None:
    slow = Slow(1)
    slow.queue.put(line("second"))
    threading.Timer(0.02, slow.disk.set).start()
    slow.queue.put(line("third"))

    assert slow.end() == ["first", "second", "third"]


def test_a_plain_script_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_queue, "PATIENCE", 0.01)
    slow = Slow(1)
    for number in range(3):
        slow.queue.put(line(f"debug {number}"))

    assert slow.end()[1:] == ["debug 0", "2 lines below WARNING skipped (log too slow)"]


def test_flushing_and_closing_give_up_on_what_hangs() -> None:
    slow = Slow(10)

    assert not slow.queue.flush(0.01)
    assert not slow.queue.close(0.01)
    slow.disk.set()
