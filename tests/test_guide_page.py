"""What our page of the guide shows is run: its scripts, its settings, its advice."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from guide_help import PAGE, ROOT, Ran, blocks, run_python, section
from log_help import STAMP, Logs, logs, session_log

from kalshi_trio import logging_config, workflow_logger
from kalshi_trio.logging_config import LogConfig, get_logger

__all__ = ["logs"]


def test_files_created_logging_config(logs: Logs) -> None:
    page = section(PAGE, "1. `kalshi_trio/logging_config.py`")

    assert (LogConfig.CONSOLE_LEVEL, LogConfig.FILE_LEVEL) == (logging.INFO, logging.DEBUG)
    assert (LogConfig.maxBytes, LogConfig.backupCount) == (10 * 1024 * 1024, 10)
    assert all(name in page and hasattr(logging_config, name) for name in ("LogConfig", "get_logger"))
    assert (logs.folder / f"SESSION_{STAMP}.log").exists()


def test_files_created_workflow_logger() -> None:
    page = section(PAGE, "2. `kalshi_trio/workflow_logger.py`")

    for name in ("WorkflowSession", "AsyncWorkflowSession", "log_workflow"):
        assert name in page
        assert callable(getattr(workflow_logger, name))


def test_files_created_streamer_is_the_recorder() -> None:
    assert "python -m kalshi_trio" in section(PAGE, "3. The recorder")
    assert (ROOT / "kalshi_trio" / "session.py").exists()


def test_quick_start_option_1_names_the_files_that_are_made(logs: Logs) -> None:
    get_logger("kalshi_trio.tasks.feed").info("made")
    made = set(logs.folder.iterdir()) if logs.lines() else set()

    page = section(PAGE, "Option 1: Run the recorder")
    names = re.findall(r"`logs/(\S+\.log)`", page)
    assert "python -m kalshi_trio demo" in page
    assert {name.replace("YYYYMMDD_HHMMSS", STAMP) for name in names} <= {path.name for path in made}


def test_quick_start_option_2_any_script(tmp_path: Path) -> None:
    ran = Ran("Option 2: Add it to any script", tmp_path)

    workflow = [">>> My Workflow started", "Processing begins", "In the files only", "Result: 42"]
    assert ran.messages == [*workflow, "<<< My Workflow completed in 0.00s"]
    assert "INFO     | Result: 42" in ran.console
    assert not any("In the files only" in line for line in ran.console)


def test_quick_start_option_3_decorated_functions(tmp_path: Path) -> None:
    ran = Ran("Option 3: Decorate functions", tmp_path)

    assert ran.printed == ["FETCHED"]
    assert [message[:4] + message.split()[1] for message in ran.messages] == [
        ">>> fetch_data",
        "<<< fetch_data",
        ">>> process_data",
        "<<< process_data",
    ]


def test_log_files_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "maxBytes", 400)
    with session_log(tmp_path / "logs") as opened:
        for number in range(8):
            get_logger("kalshi_trio.tasks.feed").info("number %d", number)
            get_logger("kalshi_trio.tasks.builder").debug("number %d", number)
        assert opened.lines()

    shown = set(re.findall(r"── (\S+)", section(PAGE, "Log Files Location")))
    assert shown <= {path.name for path in (tmp_path / "logs").iterdir()}


def levels_of_the_page(level: str) -> tuple[bool, ...]:
    """Where the page's table says that a level appears: console, EVENTS, SESSION and modules."""
    row = re.search(rf"^\| `{level}` \|(.*)\|$", section(PAGE, "Log Levels Explained"), re.MULTILINE)
    assert row
    return tuple("yes" in cell for cell in row[1].split("|")[1:])


def appears(opened: Logs, level: int) -> tuple[bool, ...]:
    """Where a line of that level does appear."""
    get_logger("guide.levels").log(level, "here")
    places = [opened.console(), opened.lines(f"EVENTS_{STAMP}.log"), opened.lines()]
    assert opened.messages("guide_levels.log") == ["here"]
    return tuple(any(line.endswith("| here") for line in lines) for lines in places)


def test_log_levels_explained_debug_is_in_files_only(logs: Logs) -> None:
    assert appears(logs, logging.DEBUG) == levels_of_the_page("DEBUG") == (False, False, True)


def test_log_levels_explained_info_is_everywhere(logs: Logs) -> None:
    assert appears(logs, logging.INFO) == levels_of_the_page("INFO") == (True, True, True)


def test_log_levels_explained_warning_is_everywhere(logs: Logs) -> None:
    assert appears(logs, logging.WARNING) == levels_of_the_page("WARNING") == (True, True, True)


def test_log_levels_explained_error_is_everywhere(logs: Logs) -> None:
    assert appears(logs, logging.ERROR) == levels_of_the_page("ERROR") == (True, True, True)


def test_integration_websocket_runtime(tmp_path: Path) -> None:
    ran = Ran("A websocket of your own", tmp_path)

    assert ran.messages[1] == "WebSocket connection closed, reconnecting in 0.5s"
    assert (ran.folder / "my_project_websocket.log").exists()


def test_integration_clickhouse_sink(tmp_path: Path) -> None:
    ran = Ran("A ClickHouse sink", tmp_path)

    assert ran.messages == ["Flushing 50000 events to ClickHouse", "Inserted 50000 rows with password ****"]


def test_integration_parquet_sink(tmp_path: Path) -> None:
    assert Ran("A Parquet sink", tmp_path).messages == ["Writing Parquet file: 50000 rows, ~0.33MB"]


def configuration(language: str) -> str:
    """The page's block of that language about configuration."""
    (text,) = (
        block.text for block in blocks(PAGE) if (block.heading, block.language) == ("Configuration Options", language)
    )
    return text


def test_configuration_options_on_the_class(tmp_path: Path) -> None:
    code = configuration("python")
    done = run_python(code, tmp_path)

    assert "DEBUG    | On the console only" in done.stderr.splitlines()
    (session,) = (tmp_path / "logs").glob("SESSION_*.log")
    assert session.read_text() == ""
    for name in ("CONSOLE_LEVEL", "FILE_LEVEL", "maxBytes", "backupCount", "DETAILED_FORMAT"):
        assert f"LogConfig.{name} = " in code
        assert hasattr(LogConfig, name)
    assert LogConfig.DETAILED_FORMAT in code


def test_configuration_options_by_the_environment(tmp_path: Path) -> None:
    settings = dict(word.split("=", 1) for word in configuration("sh").split() if "=" in word)
    code = "from kalshi_trio.logging_config import *; setup_session_logger(); get_logger('x').debug('d'); "
    done = run_python(code + "print(open_session_log().settings[:3])", tmp_path, **settings)

    assert done.stdout == "(10, 20, Limits(max_bytes=50000000, backups=20))\n"
    assert "DEBUG    | d" in done.stderr.splitlines()
