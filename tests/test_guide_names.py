"""Every class, function, setting and format that the guide names: it exists under that name and does what the guide says."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from log_help import STAMP, Logs, logs, session_log

from kalshi_trio.logging_config import LogConfig, close_session_logger, get_logger, setup_session_logger
from kalshi_trio.workflow_logger import AsyncWorkflowSession, WorkflowSession, log_workflow

__all__ = ["logs"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@log_workflow
async def fetch_data() -> str:
    return "fetched"


@log_workflow
def process_data() -> None:
    raise LookupError("no data")


def spans(logs: Logs) -> list[str]:
    return [re.sub(r"\d+\.\d\ds", "0.00s", text) for text in logs.messages()[1:]]


def test_class_log_config_is_read_when_logging_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "LOG_DIR", str(tmp_path / "elsewhere"))
    setup_session_logger()
    close_session_logger()

    assert list((tmp_path / "elsewhere").glob("SESSION_*.log"))


def test_class_workflow_session_tracks_a_sync_workflow(logs: Logs) -> None:
    with WorkflowSession("Data Pipeline") as session:
        session.log_event("Step 1: Connecting...")

    assert spans(logs) == [
        ">>> Data Pipeline started",
        "Step 1: Connecting...",
        "<<< Data Pipeline completed in 0.00s",
    ]


async def test_class_async_workflow_session_tracks_an_async_workflow(logs: Logs) -> None:
    async with AsyncWorkflowSession("My Workflow") as session:
        session.log_event(f"Completed successfully: {await fetch_data()}")

    assert spans(logs)[0] == ">>> My Workflow started"
    assert spans(logs)[-2:] == ["Completed successfully: fetched", "<<< My Workflow completed in 0.00s"]


async def test_decorator_log_workflow_on_an_async_function(logs: Logs) -> None:
    assert await fetch_data() == "fetched"

    assert spans(logs) == [">>> fetch_data started", "<<< fetch_data completed in 0.00s"]


def test_decorator_log_workflow_on_a_sync_function(logs: Logs) -> None:
    with pytest.raises(LookupError):
        process_data()

    assert spans(logs) == [">>> process_data started", "!!! process_data FAILED after 0.00s: LookupError: no data"]


def test_function_get_logger_gives_a_module_its_own_file(logs: Logs) -> None:
    get_logger("databases.processing.clickhouse_sink").debug("Inserted 5 rows to deltas")

    assert logs.messages("databases_processing_clickhouse_sink.log") == ["Inserted 5 rows to deltas"]
    assert logs.messages()[-1] == "Inserted 5 rows to deltas"


def test_function_setup_session_logger_says_that_the_session_begins(logs: Logs) -> None:
    assert logs.messages() == [f"=== SESSION STARTED: {STAMP} ==="]
    assert setup_session_logger() is logging.getLogger("SESSION")


@pytest.mark.parametrize("level", LEVELS)
def test_method_log_event_takes_every_level_of_the_guide(level: str, logs: Logs) -> None:
    with WorkflowSession("events") as session:
        session.log_event("something", level=level)

    (line,) = [line for line in logs.lines() if line.endswith("| something")]
    assert line.split(" | ")[2].strip() == level.upper()


def test_setting_console_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "CONSOLE_LEVEL", logging.DEBUG)
    with session_log(tmp_path) as opened:
        get_logger("x").debug("more verbose")
        assert opened.console()[-1] == "DEBUG    | more verbose"


def test_setting_file_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "FILE_LEVEL", logging.WARNING)
    with session_log(tmp_path) as opened:
        get_logger("x").info("less verbose")
        get_logger("x").warning("kept")
        assert opened.messages() == ["kept"]


def written(tmp_path: Path) -> list[int]:
    """Sizes of a module's files after 200 lines."""
    with session_log(tmp_path):
        for number in range(200):
            get_logger("x").debug("line %d", number)
    return [path.stat().st_size for path in tmp_path.glob("x.log*")]


def test_setting_max_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "maxBytes", 2_000)

    sizes = written(tmp_path)
    assert max(sizes) <= 2_000
    assert len(sizes) > 3


def test_setting_backup_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "maxBytes", 2_000)
    monkeypatch.setattr(LogConfig, "backupCount", 2)

    assert len(written(tmp_path)) == 3


def test_setting_detailed_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "DETAILED_FORMAT", "%(levelname)s/%(name)s/%(message)s")
    with session_log(tmp_path) as opened:
        get_logger("a.b").info("text")
        assert opened.lines()[-1] == "INFO/a_b/text"


def test_format_of_a_line_in_a_file_is_time_name_level_message(logs: Logs) -> None:
    get_logger("guide.format").warning("text")

    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \| guide_format                   \| WARNING  \| text"
    assert re.fullmatch(line, logs.lines()[-1])


def test_format_of_a_line_on_the_console_is_level_message(logs: Logs) -> None:
    get_logger("guide.format").info("Connected to Kalshi WebSocket")

    assert logs.console()[-1] == "INFO     | Connected to Kalshi WebSocket"


def test_format_of_the_session_files_name_is_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "LOG_DIR", str(tmp_path))
    setup_session_logger()
    close_session_logger()

    (file,) = tmp_path.glob("SESSION_*")
    assert re.fullmatch(r"SESSION_\d{8}_\d{6}\.log", file.name)


def test_format_of_a_modules_file_name_has_underscores_for_dots(logs: Logs) -> None:
    get_logger("kalshifolder.websocket.ws_runtime").info("text")

    assert logs.lines("kalshifolder_websocket_ws_runtime.log")
