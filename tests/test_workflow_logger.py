"""Workflows in plain scripts, in Trio, and as decorators: what they log, and that they change nothing."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import assert_type

import pytest
import trio
from log_help import Logs, logs

from kalshi_trio.log_spans import ending
from kalshi_trio.logging_config import LogConfig, close_session_logger, open_session_log
from kalshi_trio.workflow_logger import AsyncWorkflowSession, WorkflowSession, log_workflow

__all__ = ["logs"]


def timeless(messages: list[str]) -> list[str]:
    return [re.sub(r"\d+\.\d\ds", "0.00s", message) for message in messages[1:]]


@log_workflow
def add(one: int, *, two: int) -> int:
    """Adds."""
    return one + two


@log_workflow
async def add_later(one: int, two: int) -> int:
    await trio.lowlevel.checkpoint()
    return one + two


@log_workflow
def fail(text: str) -> None:
    raise ValueError(text)


class Sink:
    @log_workflow
    def flush(self) -> str:
        return "flushed"


def test_a_sync_workflow_logs_its_start_events_and_end(logs: Logs) -> None:
    with WorkflowSession("My Workflow") as session:
        session.log_event("Starting 100% processing...")
        session.log_event("careful", level="warning")

    lines = logs.lines()[1:]
    assert [line.split(" | ")[2].strip() for line in lines] == ["INFO", "INFO", "WARNING", "INFO"]
    assert timeless(logs.messages()) == [
        ">>> My Workflow started",
        "Starting 100% processing...",
        "careful",
        "<<< My Workflow completed in 0.00s",
    ]


async def test_an_async_workflow_that_fails_is_logged_with_its_error_and_raises_it(logs: Logs) -> None:
    with pytest.raises(ValueError, match="text"):
        async with AsyncWorkflowSession("KalshiMonorepo Streamer"):
            raise ValueError("text")

    assert timeless(logs.messages()) == [
        ">>> KalshiMonorepo Streamer started",
        "!!! KalshiMonorepo Streamer FAILED after 0.00s: ValueError: text",
    ]
    assert "    ValueError: text" in logs.lines()
    assert logs.console()[-1].endswith("FAILED after 0.00s: ValueError: text")


async def test_a_cancelled_workflow_gives_the_reason_and_stays_cancelled(logs: Logs) -> None:
    with trio.CancelScope() as scope:
        async with AsyncWorkflowSession("NAME"):
            scope.cancel(reason="SIGTERM")
            await trio.sleep_forever()

    assert scope.cancelled_caught
    assert timeless(logs.messages())[-1] == "--- NAME cancelled after 0.00s: SIGTERM"


async def test_time_is_seconds_with_two_decimals(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 108.6412])
    monkeypatch.setattr("kalshi_trio.log_spans.Span.__init__.__defaults__", (lambda: next(times),))
    with WorkflowSession("NAME"):
        pass

    assert logs.messages()[-1] == "<<< NAME completed in 8.64s"
    await trio.lowlevel.checkpoint()


async def test_decorated_functions_keep_result_type_name_and_kind(logs: Logs) -> None:
    assert_type(add(1, two=2), int)
    assert_type(await add_later(1, 2), int)

    assert (add(1, two=2), await add_later(2, 3), Sink().flush()) == (3, 5, "flushed")
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert inspect.iscoroutinefunction(add_later)
    assert not inspect.iscoroutinefunction(add)
    assert [message for message in timeless(logs.messages()) if message.startswith("<<<")][-3:] == [
        "<<< add completed in 0.00s",
        "<<< add_later completed in 0.00s",
        "<<< Sink.flush completed in 0.00s",
    ]


def test_a_decorated_function_logs_in_its_modules_file(logs: Logs) -> None:
    add(1, two=2)

    assert timeless(["", *logs.messages(f"{__name__}.log")]) == [">>> add started", "<<< add completed in 0.00s"]


def test_an_async_function_is_logged_under_asyncio_too(logs: Logs) -> None:
    @log_workflow
    async def elsewhere() -> str:
        await asyncio.sleep(0)
        return "done"

    assert asyncio.run(elsewhere()) == "done"
    assert timeless(logs.messages()) == [">>> elsewhere started", "<<< elsewhere completed in 0.00s"]


def test_an_error_through_several_workflows_has_one_traceback(logs: Logs) -> None:
    with pytest.raises(ValueError, match="deep"), WorkflowSession("outer"):
        fail("deep")

    assert [message for message in timeless(logs.messages()) if message.startswith("!!!")] == [
        "!!! fail FAILED after 0.00s: ValueError: deep",
        "!!! outer FAILED after 0.00s: ValueError: deep",
    ]
    assert logs.lines().count("    Traceback (most recent call last):") == 1


@pytest.mark.parametrize("use", ["sync", "async", "decorator"])
def test_whoever_comes_first_sets_logging_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str) -> None:
    async def workflow() -> None:
        async with AsyncWorkflowSession("first"):
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(LogConfig, "LOG_DIR", str(tmp_path))
    assert open_session_log() is None
    if use == "sync":
        with WorkflowSession("first"):
            pass
    elif use == "async":
        trio.run(workflow)
    else:
        add(1, two=2)
    close_session_logger()

    (session,) = tmp_path.glob("SESSION_*.log")
    assert re.search(r">>> \w+ started\n.*<<< \w+ completed in 0\.\d\ds\n", session.read_text())


def test_a_level_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="no level 'loud'"):
        WorkflowSession("x").log_event("text", level="loud")


async def test_why_a_task_was_cancelled_by_deadline_or_by_a_failing_sibling() -> None:
    seen: list[tuple[str, str, str]] = []

    async def victim() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as error:
            seen.append(ending(error))
            raise

    async def culprit() -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError("x")

    with trio.move_on_after(0):
        await victim()
    with pytest.RaisesGroup(KeyError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(victim)
            nursery.start_soon(culprit)

    assert seen == [("cancelled", "deadline", ""), ("cancelled", "culprit failed", "culprit")]


def test_how_things_end() -> None:
    group = BaseExceptionGroup("g", [KeyboardInterrupt(), ExceptionGroup("h", [ValueError("v"), KeyError("k")])])

    assert ending(None) == ("finished", "", "")
    assert ending(group)[:2] == ("failed", "ValueError: v (and 1 more)")
    assert ending(RuntimeError())[:2] == ("failed", "RuntimeError")
    assert ending(SystemExit(3))[:2] == ("exited", "exit with code 3")
    assert ending(SystemExit())[:2] == ("exited", "exit with code 0")
    assert ending(SystemExit("no such file"))[:2] == ("exited", "exit with code 1: no such file")
    assert ending(GeneratorExit())[:2] == ("cancelled", "closed before its end")
    assert ending(KeyboardInterrupt())[:2] == ("cancelled", "KeyboardInterrupt")
