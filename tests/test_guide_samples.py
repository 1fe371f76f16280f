"""The guide's sample lines, byte for byte, from the code that writes them."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable

import pytest
from guide_help import PAGE, ROOT, section
from log_help import STAMP, Logs, logs
from test_delta_lines import batch, table

from kalshi_trio.log_lines import Layout
from kalshi_trio.logging_config import LogConfig, get_logger
from kalshi_trio.observe.delta_lines import delta_lines
from kalshi_trio.workflow_logger import WorkflowSession, log_environment

__all__ = ["logs"]
MARKETS = "FEDFUNDS-DEC25,KXBTCMAXY-25-DEC31-129999.99"
AT = 1_795_496_462
"""2026-11-24 05:01:02 UTC."""


@pytest.fixture
def session_file_line(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, str], str]:
    """A logger's record at 05:01:02 as it stands in the session's file."""
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)
    layout = Layout(LogConfig.DETAILED_FORMAT, LogConfig.CONSOLE_FORMAT, LogConfig.DATE_FORMAT)

    def line(logger: str, level: int, text: str) -> str:
        record = logging.LogRecord(logger, level, "", 0, text, None, None)
        record.created = AT
        return layout.line(record).file

    return line


def test_example_log_output_console_shows_the_environment(logs: Logs) -> None:
    log_environment({"MARKETS": MARKETS})

    assert logs.console()[1:] == [
        "INFO     | === Environment Configuration ===",
        f"INFO     | [ENV] MARKETS: {MARKETS}",
    ]
    assert logs.console()[-1] in section(PAGE, "Console")


def test_example_log_output_console_shows_a_workflow_that_starts(logs: Logs) -> None:
    with WorkflowSession("KalshiMonorepo Streamer"):
        assert logs.console()[-1] == "INFO     | >>> KalshiMonorepo Streamer started"


def test_example_log_output_console_has_info_only(logs: Logs) -> None:
    get_logger("guide.sample").debug("Delta: FEDFUNDS-DEC25 yes 9800 delta=5 => 105")
    get_logger("guide.sample").info("Processed 1000 events (100 snapshots, 900 deltas)")

    assert logs.console()[1:] == ["INFO     | Processed 1000 events (100 snapshots, 900 deltas)"]
    assert logs.console()[1] in section(PAGE, "Console")


def test_example_log_output_session_file_begins_with_the_session(logs: Logs) -> None:
    first = logs.lines()[0]

    assert first[19:] == f" | SESSION                        | INFO     | === SESSION STARTED: {STAMP} ==="
    assert first[19:] in section(PAGE, "Session file")


def test_example_log_output_session_file_has_each_sample_line_as_it_is(
    session_file_line: Callable[[str, int, str], str],
) -> None:
    shown = section(PAGE, "Session file")

    started = session_file_line("SESSION", logging.INFO, "=== SESSION STARTED: 20261124_050102 ===")
    assert (
        started
        == "2026-11-24 05:01:02 | SESSION                        | INFO     | === SESSION STARTED: 20261124_050102 ==="
    )
    assert started in shown
    assert session_file_line("kalshi_trio.recording", logging.INFO, "=== Environment Configuration ===") in shown
    gap = "Sequence gap or negative level for FEDFUNDS-DEC25 at price 9800"
    assert session_file_line("kalshi_trio.tasks.builder", logging.WARNING, gap).partition(" | ")[2] in shown


def test_example_log_output_session_file_shows_deltas_and_snapshots() -> None:
    frames = {"market": "FEDFUNDS-DEC25", "frame": 1}
    snapshots = table("snapshots", *({**frames, "row": row, "side": side} for row, side in enumerate(("yes", "no"))))
    made = delta_lines(batch(deltas=table("deltas", {**frames, "frame": 2}), snapshots=snapshots), lambda _: ("", ""))

    shown = section(PAGE, "Session file")
    for line in made.text.decode().splitlines():
        assert f" | kalshi_trio_tasks_builder      | DEBUG    | {line}\n" in shown
    assert made.number == 2


def test_a_name_longer_than_its_column_pushes_the_rest(session_file_line: Callable[[str, int, str], str]) -> None:
    line = session_file_line("kalshifolder.websocket.streamer_logged", logging.INFO, "x")

    assert line == "2026-11-24 05:01:02 | kalshifolder_websocket_streamer_logged | INFO     | x"


def test_overview_promises_levels_and_times(logs: Logs) -> None:
    with WorkflowSession("overview"):
        pass

    assert re.fullmatch(r"<<< overview completed in \d+\.\d\ds", logs.messages()[-1])
    assert section(PAGE, "Overview").strip()


def texts_of_the_package() -> str:
    """All texts that the package's code holds, the fixed parts of f-strings too."""
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "kalshi_trio").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


@pytest.mark.parametrize(
    "text",
    [
        "Loaded %d markets: ",
        "Initialized WebSocket client and sinks",
        "Connected to Kalshi WebSocket",
        "Subscribing to markets: ",
        "Subscription confirmed for sid=",
        "Created orderbook for ",
        "Processed %d events (%d snapshots, %d deltas)",
        "Sequence gap or negative level for ",
        "Flushing %d events to ClickHouse",
        "Inserted %d rows to %s",
        "Writing Parquet file: %d rows, ~%.2fMB",
    ],
)
def test_example_log_output_each_sample_text_is_in_the_code(text: str) -> None:
    assert text in texts_of_the_package()
