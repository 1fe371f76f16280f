"""Every heading, table row and sample of the logging guide has its place on our page and a test named after it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from guide_help import PAGE, SHARED, section

TESTS = Path(__file__).parent
GUIDE = SHARED / "logging-guide.txt"

OURS = {
    # heading or table row of the guide → heading of our page (None: a row, or the title), what its tests begin with
    "Comprehensive Logging Guide": ("Logging", "test_every_heading"),
    "Overview": ("Overview", "test_overview"),
    "Files Created": ("Files Created", "test_files_created"),
    "`src/logging_config.py`": ("1. `kalshi_trio/logging_config.py`", "test_files_created_logging_config"),
    "`src/workflow_logger.py`": ("2. `kalshi_trio/workflow_logger.py`", "test_files_created_workflow_logger"),
    "`src/kalshifolder/websocket/streamer_logged.py`": ("3. The recorder", "test_files_created_streamer"),
    "Quick Start": ("Quick Start", "test_quick_start"),
    "Option 1: Use the Logged Streamer (Recommended)": ("Option 1: Run the recorder", "test_quick_start_option_1"),
    "Option 2: Add Logging to Any Script": ("Option 2: Add it to any script", "test_quick_start_option_2"),
    "Option 3: Decorate Functions": ("Option 3: Decorate functions", "test_quick_start_option_3"),
    "Log Files Location": ("Log Files Location", "test_log_files_location"),
    "Log Levels Explained": ("Log Levels Explained", "test_log_levels_explained"),
    "DEBUG": (None, "test_log_levels_explained_debug"),
    "INFO": (None, "test_log_levels_explained_info"),
    "WARNING": (None, "test_log_levels_explained_warning"),
    "ERROR": (None, "test_log_levels_explained_error"),
    "Example Log Output": ("Example Log Output", "test_example_log_output"),
    "Console (INFO only)": ("Console", "test_example_log_output_console"),
    "Session File (DEBUG + INFO + WARNING + ERROR)": ("Session file", "test_example_log_output_session_file"),
    "Integration with Your Workflow": ("Integration with Your Workflow", "test_integration"),
    "Add Logging to WebSocket Runtime": ("A websocket of your own", "test_integration_websocket_runtime"),
    "Add Logging to ClickHouse Sink": ("A ClickHouse sink", "test_integration_clickhouse_sink"),
    "Add Logging to Parquet Sink": ("A Parquet sink", "test_integration_parquet_sink"),
    "Querying Logs": ("Querying logs", "test_find"),
    "Find all errors in today's session": ("Querying logs", "test_find_all_errors"),
    "Find WebSocket connection issues": ("Querying logs", "test_find_websocket_connection_issues"),
    "Find specific market events": ("Querying logs", "test_find_specific_market_events"),
    "Monitor in real-time": ("Querying logs", "test_monitor_in_real_time"),
    "Configuration Options": ("Configuration Options", "test_configuration_options"),
    "Docker Integration": ("Containers", "test_docker_integration"),
    "Docker Compose": ("Compose", "test_docker_compose"),
    "Monitoring & Analysis": ("Monitoring & Analysis", "test_monitoring_and_analysis"),
    "Session Statistics": ("Session statistics", "test_count"),
    "Performance Analysis": ("Performance analysis", "test_find_slowest_operations"),
    "Best Practices": ("Best Practices", "test_best_practices"),
    "Use Session Logging for Workflows": ("1. Workflows in sessions", "test_best_practices_session_logging"),
    "Use Function Decorators for Individual Operations": (
        "2. Single operations by decorator",
        "test_best_practices_function_decorators",
    ),
    "Use `get_logger(__name__)` in Modules": (
        "3. `get_logger(__name__)` in modules",
        "test_best_practices_get_logger_in_modules",
    ),
    "Log Errors with Context": ("4. Errors with their context", "test_best_practices_log_errors_with_context"),
    "Troubleshooting": ("Troubleshooting", "test_troubleshooting"),
    "Logs not appearing": (None, "test_troubleshooting_logs_not_appearing"),
    "Logs grow too large": (None, "test_troubleshooting_logs_grow_too_large"),
    "Too much console output": (None, "test_troubleshooting_too_much_console_output"),
    "Not enough detail in file": (None, "test_troubleshooting_not_enough_detail_in_file"),
    "Can't find specific events": (None, "test_troubleshooting_cannot_find_specific_events"),
    "Summary": ("Summary", "test_summary"),
}

NAMED = {
    # class, function, setting or format of the guide → how its tests' names begin
    "LogConfig": "test_class_log_config",
    "WorkflowSession": "test_class_workflow_session",
    "AsyncWorkflowSession": "test_class_async_workflow_session",
    "log_workflow": "test_decorator_log_workflow",
    "get_logger": "test_function_get_logger",
    "setup_session_logger": "test_function_setup_session_logger",
    "log_event": "test_method_log_event",
    "CONSOLE_LEVEL": "test_setting_console_level",
    "FILE_LEVEL": "test_setting_file_level",
    "maxBytes": "test_setting_max_bytes",
    "backupCount": "test_setting_backup_count",
    "DETAILED_FORMAT": "test_setting_detailed_format",
    "%(asctime)s | %(name)-30s | %(levelname)-8s | %(message)s": "test_format_of_a_line_in_a_file",
    "INFO     | ": "test_format_of_a_line_on_the_console",
    "SESSION_YYYYMMDD_HHMMSS.log": "test_format_of_the_session_files_name",
    "kalshifolder_websocket_ws_runtime.log": "test_format_of_a_modules_file_name",
}


def names_of_tests() -> set[str]:
    """Of all tests about the guide."""
    names = set()
    for file in TESTS.glob("test_guide*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return names


@pytest.fixture
def guide() -> str:
    if not GUIDE.exists():
        pytest.skip(f"the guide is not at {GUIDE} (KALSHI_SHARED)")
    return GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("entry", OURS)
def test_every_heading_and_row_has_its_place_and_its_test(entry: str) -> None:
    heading, beginning = OURS[entry]

    assert heading is None or section(PAGE, heading).strip()
    assert any(name.startswith(beginning) for name in names_of_tests())


@pytest.mark.parametrize("name", NAMED)
def test_every_name_and_format_has_its_test(name: str) -> None:
    assert any(test.startswith(NAMED[name]) for test in names_of_tests())


def test_no_name_of_the_guide_is_forgotten_and_none_is_invented(guide: str) -> None:
    imports = re.findall(r"^from (?:logging_config|workflow_logger) import (\w+)$", guide, re.MULTILINE)
    tokens = {
        *imports,
        *re.findall(r"session\.(\w+)\(", guide),
        *re.findall(r"^- \*\*@?(\w+)\b.*\*\*:", guide, re.MULTILINE),
    }
    tokens |= {*re.findall(r"^ {4}([A-Za-z_]+) ?=", guide, re.MULTILINE), *re.findall(r"`([A-Za-z_]+)`", guide)}
    tokens |= set(re.findall(r"`(\w+)\(\)`", guide))
    named = {token for token in tokens if re.search(r"[a-z][A-Z]|_", token)}

    assert len(named) >= 10
    assert [name for name in NAMED if name not in guide] == []
    assert named <= set(NAMED), named - set(NAMED)


def test_no_heading_of_the_guide_is_forgotten(guide: str) -> None:
    outside_code = re.sub(r"^```.*?^```", "", guide, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (?:\d\. )?\**(.*?)\**$", outside_code, re.MULTILINE)

    assert headings
    assert [heading for heading in headings if heading not in OURS] == []


def test_no_table_row_of_the_guide_is_forgotten(guide: str) -> None:
    rows = re.findall(r"^\| \**(.*?)\** \|", guide, re.MULTILINE)
    heads = {"Level", "Issue"}

    assert len(rows) == 11
    assert [row for row in rows if row not in OURS and row not in heads] == []


def test_every_class_and_function_of_the_guide_exists(guide: str) -> None:
    from kalshi_trio import logging_config, workflow_logger  # noqa: PLC0415  here it is the thing under test

    imports = re.findall(r"^from (logging_config|workflow_logger) import (\w+)$", guide, re.MULTILINE)
    named = {*imports, ("logging_config", "LogConfig"), ("logging_config", "setup_session_logger")}
    modules = {"logging_config": logging_config, "workflow_logger": workflow_logger}

    assert len(named) >= 5
    assert [name for module, name in named if not hasattr(modules[module], name)] == []
