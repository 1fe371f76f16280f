"""The thread that draws: on a real pseudo-terminal, beside threads that log."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.text import Text

from kalshi_trio.observe.screen import Screen
from kalshi_trio.observe.terminal import Terminal


class Tty:
    """Our end of a terminal of 24 lines of 80 characters."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.stream = os.fdopen(os.dup(self.slave), "w")
        self.seen = b""

    def until(self, condition: Callable[[str], bool], seconds: float = 5) -> str:
        """What was written until the condition holds; fails after so many seconds."""
        late = threading.Timer(seconds, os.write, (self.slave, b"TOO LATE"))
        late.start()
        while not condition(self.seen.decode(errors="replace")):
            assert b"TOO LATE" not in self.seen, self.seen
            self.seen += os.read(self.master, 65_536)
        late.cancel()
        late.join()
        return self.seen.decode(errors="replace")

    def lines(self) -> list[str]:
        """What stands on the terminal: of the codes only those that rich's live view uses."""
        screen, row = [""], 0
        for part in re.split(r"(\x1b\[[\d;?]*[A-Za-z]|\r\n|\r)", self.seen.decode()):
            if part == "\r\n":
                row += 1
                screen += [""] * (row + 1 - len(screen))
            elif part.endswith("A") and part.startswith("\x1b"):
                row -= 1
            elif part.endswith("K") and part.startswith("\x1b"):
                screen[row] = ""
            elif part and part[0] not in "\x1b\r":
                screen[row] += part
        return [line for line in screen if line]


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tty]:
    opened = Tty()
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with opened.stream:
        yield opened
    os.close(opened.master)
    os.close(opened.slave)


def test_the_newest_picture_stands_below_the_log_and_goes_at_the_end(tty: Tty) -> None:
    console = Terminal(file=tty.stream)
    assert console.watched
    screen = Screen(console)
    screen.show(Text("first\npicture"))
    tty.until(lambda text: "picture" in text)
    console.print("a line of the log")
    screen.show(Text("second\nview"))
    tty.until(lambda text: "view" in text)
    assert tty.lines() == ["a line of the log", "second", "view"]

    screen.close()

    tty.until(lambda text: "\x1b[?25h" in text and text.endswith("\x1b[2K"))
    assert tty.lines() == ["a line of the log"]


def test_lines_that_other_threads_print_meanwhile_all_stay(tty: Tty) -> None:
    console = Terminal(file=tty.stream)
    screen = Screen(console)

    def log(name: str) -> None:
        for number in range(30):
            screen.show(Text(f"{name}\nview\n{number}"))
            console.print(f"{name}{number}")

    reading = threading.Thread(target=tty.until, args=(lambda text: "end" in text,))
    reading.start()
    threads = [threading.Thread(target=log, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    screen.close()
    console.print("end")
    reading.join()

    assert sorted(tty.lines()[:-1]) == sorted(f"{name}{number}" for name in "abc" for number in range(30))


def test_a_terminal_that_takes_no_bytes_holds_nobody_up(tty: Tty) -> None:
    screen = Screen(Terminal(file=tty.stream))
    began = time.monotonic()

    for _ in range(20):
        screen.show(Text("x" * 40_000))
    screen.close(seconds=0.05)

    assert time.monotonic() - began < 1
    tty.until(lambda text: "\x1b[?25h" in text)


def bare(text: str) -> str:
    """Without codes."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text)


def test_the_recorder_shows_its_view_and_the_logs_warnings_on_a_terminal(tty: Tty, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kalshi_trio", "demo", "--seconds", "60", "--clickhouse-url", "http://127.0.0.1:9"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=tty.slave, stdout=tty.slave) as process:  # noqa: S603  our own
        try:
            tty.until(lambda text: "warnings 1" in bare(text) and "late " in text and "KXDEMORAIN" in text, seconds=40)
            process.send_signal(signal.SIGINT)
            seen = bare(tty.until(lambda text: "SESSION ENDED" in text, seconds=20))
        finally:
            process.kill()

    for part in ("● connected  127.0.0.1", "msg/s", "ClickHouse: ", "● retrying", "books 4 of 4", "stopping, storing"):
        assert part in seen
