"""The console shows lines as they are, with colours only where somebody sees them."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from kalshi_trio.log_console import LogConsole, _Stream
from kalshi_trio.log_lines import Line


def shown(text: str, *, terminal: bool, level: int = logging.INFO) -> str:
    screen = io.StringIO()
    console = LogConsole(
        Console(file=screen, force_terminal=terminal, width=20, color_system="standard" if terminal else "auto")
    )
    console.write([Line(level, "test", "", text, ("", 0))])
    return screen.getvalue()


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_without_a_terminal_there_are_no_codes(level: int) -> None:
    assert shown("plain", terminal=False, level=level) == "plain\n"


def test_on_a_terminal_warnings_are_coloured() -> None:
    assert shown("careful", terminal=True, level=logging.WARNING) == "\x1b[33mcareful\x1b[0m\n"


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert shown("careful", terminal=True, level=logging.ERROR) == "careful\n"


@pytest.mark.parametrize("text", ["[bold red]A[/]", "[/]", ":smile:", "https://x 123 'text'", "x" * 100])
def test_text_is_neither_interpreted_nor_wrapped(text: str) -> None:
    assert shown(text, terminal=False) == text + "\n"
    assert shown(text, terminal=True) == text + "\n"


class Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_console_that_is_gone_is_no_error() -> None:
    closed = io.StringIO()
    closed.close()
    for file in (Gone(), closed):
        console = LogConsole(_Stream(file=file))
        console.write([Line(logging.INFO, "test", "", "text", ("", 0))] * 2)
        assert len(console.recent) == 2
