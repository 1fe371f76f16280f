"""A record is one line, whatever stands in it."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.log_lines import Layout, escape, file_name
from kalshi_trio.logging_config import LogConfig

LAYOUT = Layout(LogConfig.DETAILED_FORMAT, LogConfig.CONSOLE_FORMAT, LogConfig.DATE_FORMAT)


def record(message: object, *args: object) -> logging.LogRecord:
    made = logging.LogRecord("kalshi_trio.tasks.feed", logging.INFO, "feed.py", 7, message, args, None)
    made.created = 1_764_858_622.75
    return made


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)


def test_the_formats_of_file_and_console() -> None:
    line = LAYOUT.line(record("Connected to %s", "Kalshi"))

    assert line.file == "2025-12-04 14:30:22 | kalshi_trio_tasks_feed         | INFO     | Connected to Kalshi"
    assert line.console == "INFO     | Connected to Kalshi"


@given(st.text())
def test_any_text_stays_on_its_one_printable_line(text: str) -> None:
    line = LAYOUT.line(record("%s", text))

    assert line.file.isprintable()
    assert line.console.isprintable()


def test_printable_text_stays_as_it_is() -> None:
    for text in ("", "A-B_9 [bold]x[/] %s \\ é ✅", "../../x"):
        assert escape(text) == text


def test_a_ticker_cannot_forge_a_line_or_colour_the_screen() -> None:
    assert escape("A\n2025-12-04 | SESSION\r\x1b[31m\x00\u202e\t") == (
        "A\\n2025-12-04 | SESSION\\r\\x1b[31m\\x00\\u202e\\t"
    )


def test_a_traceback_is_indented_in_the_file_and_not_on_the_console() -> None:
    made = record("failed")
    error = ValueError("x\n2025-12-04 14:30:22 | SESSION | INFO | forged\x1b[31m")
    made.exc_info = (ValueError, error, None)
    line = LAYOUT.line(made)

    first, *rest = line.file.splitlines()
    assert first.endswith("| failed")
    assert all(text.startswith("    ") for text in rest)
    assert "forged\\x1b[31m" in rest[-1]
    assert line.console == "INFO     | failed"


def test_what_cannot_be_formatted_is_said_and_raises_nothing() -> None:
    assert LAYOUT.line(record("w %d", "x")).console.startswith("INFO     | w %d (cannot be formatted: TypeError: ")
    assert (
        LAYOUT.line(record("%s", Unprintable())).console == "INFO     | %s (cannot be formatted: RuntimeError: no text)"
    )
    assert "Unprintable without a text" in LAYOUT.line(record(Unprintable())).file


def test_bulk_lines_get_the_same_bytes_around_them() -> None:
    before, behind = LAYOUT.around("kalshi_trio.tasks.feed", logging.INFO, 1_764_858_622)

    assert before + "Connected" + behind == LAYOUT.line(record("Connected")).file


def test_names_are_shown_with_underscores() -> None:
    assert file_name("kalshi_trio.tasks.builder") == "kalshi_trio_tasks_builder"
    assert file_name("a b/c:ü") == "a_b_c__"
