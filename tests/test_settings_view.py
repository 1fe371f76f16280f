"""The settings, shown to people and to pipes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kalshi_trio.observe.settings_view import show_settings

SHOWN = {"markets": ["A", "B"], "log_dir": "logs", "seconds": None}
ORIGIN = {"markets": "environment", "log_dir": "default", "seconds": "default"}


def shown(*, terminal: bool) -> str:
    out = io.StringIO()
    show_settings(SHOWN, ORIGIN, Console(file=out, force_terminal=terminal, width=70, color_system=None))
    return out.getvalue()


def test_a_pipe_gets_a_line_for_each_setting() -> None:
    lines = shown(terminal=False).splitlines()

    assert [line.split() for line in lines] == [
        ["MARKETS", "A,B", "environment"],
        ["LOG_DIR", "logs", "default"],
        ["SECONDS", "default"],
    ]


@pytest.mark.parametrize("word", ["Settings in force", "MARKETS", "A,B", "environment", "SECONDS"])
def test_a_terminal_gets_a_table(word: str) -> None:
    assert word in shown(terminal=True)
