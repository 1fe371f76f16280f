"""Each recipe of the pages, run in a shell against a real log of two sessions that started anew several times."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide_help import PAGE, ROOT, blocks, run, run_shell
from log_help import Logs, session_log

from kalshi_trio.log_spans import Span
from kalshi_trio.logging_config import LogConfig, flush_logs, get_logger

README = ROOT / "README.md"
SECTION = "Querying logs"
PAGES = [page for page in (PAGE, README) if page.exists() and f"# {SECTION}\n" in page.read_text(encoding="utf-8")]
MARKET = "FEDFUNDS-DEC25"


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Path:
    chosen: Path = request.param
    return chosen


def recipe(page: Path, caption: str) -> str:
    """The command whose caption begins so."""
    (found,) = (
        block.text
        for block in blocks(page)
        if block.heading == SECTION and block.language == "sh" and block.caption.startswith(caption)
    )
    return found


def operation(name: str, seconds: float) -> None:
    """Something that took that long."""
    times = iter([0.0, seconds])
    Span(name, get_logger("kalshi_trio.tasks.feed"), lambda: next(times)).end(None)


def work(first: int) -> None:
    """Lines of all kinds, numbered."""
    feed, builder = get_logger("kalshi_trio.tasks.feed"), get_logger("kalshi_trio.tasks.builder")
    for number in range(first, first + 40):
        builder.debug("Delta: %s yes 9800 delta=5 => %d", MARKET, number)
        builder.info("Processed %d events (100 snapshots, 900 deltas)", number * 1000)
    feed.info("Connected to Kalshi WebSocket")
    feed.warning("WebSocket connection closed, reconnecting in 0.5s")
    for number in range(first, first + 12):
        feed.error("ERROR number %d", number)
    feed.info("An INFO line that speaks of an ERROR and a WARNING")
    for seconds in (0.5, 100.25, 9.75):
        operation(f"step {first}", seconds)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    """An ended session and one under way, in `logs/`."""
    monkeypatch.setattr(LogConfig, "maxBytes", 2_500)
    monkeypatch.setattr(LogConfig, "backupCount", 9)
    for stamp, first in (("20261123_230000", 0), ("20261124_050102", 100)):
        with session_log(tmp_path / "logs", stamp=stamp) as opened:
            work(first)
            flush_logs()
            if first:
                assert len(list(opened.folder.glob("EVENTS_20261124_050102.log.*"))) > 1
                yield opened


def messages(lines: list[str]) -> list[str]:
    return [line.split(" | ", 3)[3] for line in lines]


def test_find_all_errors(logs: Logs, page: Path) -> None:
    found = messages(run_shell(recipe(page, "All errors"), logs.folder.parent))

    assert found == [f"ERROR number {number}" for number in [*range(12), *range(100, 108)]]


def test_find_websocket_connection_issues(logs: Logs, page: Path) -> None:
    found = messages(run_shell(recipe(page, "Connection trouble"), logs.folder.parent))

    assert found == ["Connected to Kalshi WebSocket", "WebSocket connection closed, reconnecting in 0.5s"] * 2


def test_find_specific_market_events(logs: Logs, page: Path) -> None:
    found = messages(run_shell(recipe(page, "The last lines about one market"), logs.folder.parent))

    expected = [f"Delta: {MARKET} yes 9800 delta=5 => {number}" for number in [*range(40), *range(100, 140)]]
    assert found == expected[-50:]


def test_monitor_in_real_time_across_a_rollover(logs: Logs, page: Path) -> None:
    command = ["bash", "-c", "exec " + recipe(page, "The newest session").removeprefix("exec ")]
    log = get_logger("kalshi_trio.tasks.feed")
    with subprocess.Popen(  # noqa: S603  the page's own command
        command, cwd=logs.folder.parent, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as tail:
        try:
            assert tail.stdout is not None
            for number in range(60):
                log.info("watched %d", number)
                assert next(line for line in tail.stdout if "watched" in line).endswith(f"| watched {number}\n")
        finally:
            tail.terminate()


def test_count_events(logs: Logs, page: Path) -> None:
    found = messages(run_shell(recipe(page, "How many events"), logs.folder.parent))

    assert found == ["Processed 139000 events (100 snapshots, 900 deltas)"]


def test_count_errors(logs: Logs, page: Path) -> None:
    assert run_shell(recipe(page, "How many errors"), logs.folder.parent) == ["24"]


def test_count_warnings(logs: Logs, page: Path) -> None:
    assert run_shell(recipe(page, "How many warnings"), logs.folder.parent) == ["2"]


def test_total_runtime(logs: Logs, page: Path) -> None:
    found = messages(run_shell(recipe(page, "Total runtime"), logs.folder.parent))

    assert found == ["=== SESSION STARTED: 20261124_050102 ===", "<<< step 100 completed in 9.75s"]


def test_find_slowest_operations(logs: Logs, page: Path) -> None:
    found = run_shell(recipe(page, "The slowest operations"), logs.folder.parent)

    assert [line.split(" ")[0] for line in found] == ["100.25s", "100.25s", "9.75s", "9.75s", "0.50s", "0.50s"]
    assert re.search(r"<<< step (0|100) completed in 100\.25s$", found[0])


def test_without_any_log_no_recipe_hangs(tmp_path: Path) -> None:
    for block in blocks(PAGE):
        if block.heading == SECTION and not block.text.startswith("tail"):
            run(["bash", "-c", block.text], tmp_path)
