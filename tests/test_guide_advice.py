"""The guide's advice on our page: containers, practices, trouble. Each works as it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from guide_help import PAGE, ROOT, Ran, blocks, run_python, section
from log_help import STAMP, session_log

from kalshi_trio.logging_config import LogConfig, close_session_logger, get_logger, setup_session_logger
from kalshi_trio.workflow_logger import WorkflowSession


def volume(text: str) -> str:
    """The folder in the container that `./logs` is mounted on."""
    found = re.search(r"\./logs:([^:\s]+)", text)
    assert found
    return found[1]


def advice(row: str) -> str:
    """What the page's table says to do about it."""
    found = re.search(rf"^\| {row} \|(.*)\|$", section(PAGE, "Troubleshooting"), re.MULTILINE)
    assert found
    return found[1]


def test_docker_integration_keeps_logs_where_the_image_writes_them() -> None:
    containerfile = (ROOT / "Containerfile").read_text(encoding="utf-8")
    build, run = (line.split() for line in section(PAGE, "Containers").split("```")[1].splitlines()[1:])

    assert build[:2] == ["podman", "build"]
    assert run[:2] == ["podman", "run"]
    assert build[3] == run[-1]
    assert volume(" ".join(run)) in containerfile


def test_docker_compose_mounts_the_same_folder() -> None:
    (block,) = (block for block in blocks(PAGE) if block.heading == "Compose")

    assert volume(block.text) == volume(section(PAGE, "Containers").split("### Compose")[0])
    assert "volumes:" in block.text


def test_monitoring_and_analysis_the_last_line_sums_the_session_up(tmp_path: Path) -> None:
    with session_log(tmp_path):
        get_logger("sums").warning("one")
        close_session_logger("complete")

    last = (tmp_path / f"EVENTS_{STAMP}.log").read_text(encoding="utf-8").splitlines()[-1]
    for word in ("seconds", "errors", "warnings", "verdict"):
        assert word in section(PAGE, "Session statistics")
    assert re.search(r"after \d+\.\d\ds, errors 0, warnings 1, verdict complete ===$", last)


def test_best_practices_session_logging_for_workflows(tmp_path: Path) -> None:
    assert Ran("1. Workflows in sessions", tmp_path).messages == [
        ">>> Data Pipeline started",
        "Step 1: connect",
        "Step 2: process",
        "<<< Data Pipeline completed in 0.00s",
    ]


def test_best_practices_function_decorators(tmp_path: Path) -> None:
    assert Ran("2. Single operations by decorator", tmp_path).messages == [
        ">>> fetch_market_data started",
        "<<< fetch_market_data completed in 0.00s",
    ]


def test_best_practices_get_logger_in_modules(tmp_path: Path) -> None:
    ran = Ran("3. `get_logger(__name__)` in modules", tmp_path)

    assert ran.messages == ["Something important happened"]
    assert (ran.folder / "__main__.log").exists()


def test_best_practices_log_errors_with_context(tmp_path: Path) -> None:
    ran = Ran("4. Errors with their context", tmp_path)

    assert ran.printed == ["the session has logged it, and let it pass"]
    assert ran.messages == [
        ">>> Risky started",
        "Failed: no route (context: attempt 3)",
        "!!! Risky FAILED after 0.00s: ConnectionError: no route",
    ]
    assert "errors 2" in ran.lines[-1]


def test_troubleshooting_logs_not_appearing(tmp_path: Path) -> None:
    code = "from kalshi_trio.logging_config import *; get_logger('x').info('early'); "
    without, with_ = (run_python(code + more, tmp_path) for more in ("", "setup_session_logger()"))

    assert "setup_session_logger()" in advice("No log files")
    assert (without.stderr, with_.returncode) == ("", 0)
    assert len(list((tmp_path / "logs").glob("SESSION_*.log"))) == 1


def test_troubleshooting_logs_grow_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "maxBytes", 1_000)
    monkeypatch.setattr(LogConfig, "backupCount", 2)
    with session_log(tmp_path):
        for number in range(200):
            get_logger("large").debug("line %d", number)

    assert all(f"`{name}`" in advice("The files grow too large") for name in ("maxBytes", "backupCount", "FILE_LEVEL"))
    sizes = [path.stat().st_size for path in tmp_path.glob("large.log*")]
    assert len(sizes) == 3
    assert sum(sizes) <= 3_000


def test_troubleshooting_too_much_console_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (setting,) = re.findall(r"`(LOG_\w+=\w+)`", advice("Too much on the console"))
    monkeypatch.setenv(*setting.split("="))
    with session_log(tmp_path) as opened:
        get_logger("quiet").info("not shown")
        get_logger("quiet").warning("shown")
        assert opened.console() == ["WARNING  | shown"]
        assert opened.messages()[1:] == ["not shown", "shown"]


def test_troubleshooting_not_enough_detail_in_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (setting,) = re.findall(r"`(LOG_\w+=\w+)`", advice("Too little in the files"))
    monkeypatch.setattr(LogConfig, "FILE_LEVEL", 30)
    monkeypatch.setenv(*setting.split("="))
    with session_log(tmp_path) as opened:
        get_logger("detail").debug("there")
        assert opened.messages("detail.log") == ["there"]


def test_troubleshooting_cannot_find_specific_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "maxBytes", 300)
    monkeypatch.setattr(LogConfig, "backupCount", 1)
    with session_log(tmp_path) as opened:
        get_logger("needle").warning("the needle")
        for number in range(100):
            get_logger("hay").info("straw %d", number)
        assert "the needle" not in opened.all_messages(f"SESSION_{STAMP}.log")
        assert "the needle" in opened.all_messages(f"EVENTS_{STAMP}.log")

    assert "`EVENTS_*.log`" in advice("An event cannot be found")


@pytest.mark.parametrize("use", ["setup", "workflow"])
def test_summary_all_of_it_is_on_from_the_first_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.setattr(LogConfig, "LOG_DIR", str(tmp_path))
    if use == "setup":
        setup_session_logger()
    else:
        with WorkflowSession("summary"):
            pass
    close_session_logger()

    assert {path.name.split("_")[0] for path in tmp_path.glob("*_*.log")} >= {"SESSION", "EVENTS"}
    assert "`setup_session_logger()`" in section(PAGE, "Summary")


def test_every_shell_block_of_the_page_is_one_command() -> None:
    for block in blocks(PAGE):
        if block.language == "sh":
            assert "\n" not in block.text
            assert shlex.split(block.text)
