"""A session log in a folder of the test's own, and ways to read it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from kalshi_trio.logging_config import close_session_logger, flush_logs, setup_session_logger

STAMP = "20261124_050102"


class Logs:
    """What a session wrote so far."""

    def __init__(self, folder: Path, screen: io.StringIO) -> None:
        self.folder, self._screen = folder, screen

    def lines(self, name: str = f"SESSION_{STAMP}.log") -> list[str]:
        flush_logs()
        return (self.folder / name).read_text(encoding="utf-8").splitlines()

    def messages(self, name: str = f"SESSION_{STAMP}.log") -> list[str]:
        """The last column of every line that has one."""
        return [line.split(" | ", 3)[3] for line in self.lines(name) if line.count(" | ") >= 3]

    def all_messages(self, name: str) -> list[str]:
        """Those of a file and of all its older ones, in the order of writing."""
        flush_logs()
        older = sorted(self.folder.glob(f"{name}.*"), key=lambda path: -int(path.name.rpartition(".")[2]))
        return [message for path in [*older, self.folder / name] for message in self.messages(path.name)]

    def console(self) -> list[str]:
        flush_logs()
        return self._screen.getvalue().splitlines()


@contextmanager
def session_log(folder: Path, *, terminal: bool = False, stamp: str = STAMP) -> Iterator[Logs]:
    """An open session log; closed at the end."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=40)
    setup_session_logger(folder, stamp, console=console)
    try:
        yield Logs(folder, screen)
    finally:
        close_session_logger()


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    with session_log(tmp_path / "logs") as opened:
        yield opened
