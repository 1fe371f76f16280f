"""`@log_workflow` on functions of every kind, with and without brackets; what scripts of their own see of the log."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import assert_type

import pytest
import trio
from log_help import Logs, logs

from kalshi_trio.workflow_logger import AsyncWorkflowSession, WorkflowSession, log_workflow

__all__ = ["logs"]


def timeless(logs: Logs) -> list[str]:
    return [re.sub(r"\d+\.\d\ds", "0.00s", message) for message in logs.messages()[1:]]


@log_workflow()
def double(number: int) -> int:
    return 2 * number


@log_workflow("Half of it")
async def half(number: int) -> float:
    await trio.lowlevel.checkpoint()
    return number / 2


@log_workflow
def count(to: int) -> Generator[int, str, str]:
    heard = ""
    for number in range(to):
        heard += yield number
    return heard


@log_workflow(name="Ticks")
async def ticks(to: int) -> AsyncGenerator[int, None]:
    for number in range(to):
        await trio.lowlevel.checkpoint()
        try:
            yield number
        except LookupError:
            yield -1


class Sink:
    @log_workflow
    @classmethod
    def made(cls) -> Sink:
        return cls()

    @classmethod
    @log_workflow("made otherwise")
    def otherwise(cls) -> Sink:
        return cls()

    @log_workflow
    @staticmethod
    def size() -> int:
        return 5

    @log_workflow()
    def flush(self) -> str:
        return "flushed"


async def test_with_brackets_with_a_name_and_bare(logs: Logs) -> None:
    assert_type(double(2), int)
    assert_type(await half(3), float)

    assert (double(2), await half(3), double.__name__, half.__name__) == (4, 1.5, "double", "half")
    assert inspect.iscoroutinefunction(half)
    assert timeless(logs)[-4:] == [
        *(">>> double started", "<<< double completed in 0.00s"),
        *(">>> Half of it started", "<<< Half of it completed in 0.00s"),
    ]


def test_methods_of_all_kinds(logs: Logs) -> None:
    assert isinstance(Sink.made(), Sink)
    assert isinstance(Sink().otherwise(), Sink)
    assert (Sink.size(), Sink().flush()) == (5, "flushed")
    assert [line.split()[1] for line in timeless(logs) if line.startswith("<<<")] == [
        "Sink.made",
        "made",
        "Sink.size",
        "Sink.flush",
    ]


def test_a_generators_workflow_is_as_long_as_it_runs(logs: Logs) -> None:
    made = count(2)
    assert inspect.isgeneratorfunction(count)
    assert timeless(logs) == []
    assert next(made) == 0
    assert timeless(logs) == [">>> count started"]
    assert made.send("a") == 1
    with pytest.raises(StopIteration) as over:
        made.send("b")

    assert over.value.value == "ab"
    assert timeless(logs) == [">>> count started", "<<< count completed in 0.00s"]


def test_a_generator_that_is_closed_or_fails(logs: Logs) -> None:
    closed, failed = count(9), count(9)
    next(closed)
    closed.close()
    next(failed)
    with pytest.raises(KeyError):
        failed.throw(KeyError("x"))

    assert [line for line in timeless(logs) if not line.startswith(">>>")] == [
        "--- count cancelled after 0.00s: closed before its end",
        "!!! count FAILED after 0.00s: KeyError: 'x'",
    ]


async def test_an_async_generator_too(logs: Logs) -> None:
    made = ticks(3)
    assert inspect.isasyncgenfunction(ticks)
    assert timeless(logs) == []
    assert await anext(made) == 0
    assert await made.athrow(LookupError) == -1
    assert [number async for number in made] == [1, 2]
    left = ticks(3)
    assert await anext(left) == 0
    await left.aclose()

    assert timeless(logs) == [
        *(">>> Ticks started", "<<< Ticks completed in 0.00s"),
        *(">>> Ticks started", "--- Ticks cancelled after 0.00s: closed before its end"),
    ]


async def test_events_of_two_workflows_at_once_are_told_apart(logs: Logs) -> None:
    with WorkflowSession("alone") as alone:
        alone.log_event("Step")
    async with (
        AsyncWorkflowSession("Load") as one,
        AsyncWorkflowSession("Load") as two,
        AsyncWorkflowSession("Sum") as sum_,
    ):
        for session in (one, two, sum_):
            session.log_event("Step")
    steps = [line.split(" | ") for line in logs.lines() if line.endswith("| Step")]

    assert [name.strip() for _, name, _, _ in steps] == [
        f"kalshi_trio_workflow_logger[{name}]" for name in ("alone", "Load", "Load #2", "Sum")
    ]
    assert [line.partition(" | ")[2] for line in logs.console() if line.endswith("Step")] == [
        *("Step", "Load: Step", "Load #2: Step", "Sum: Step"),
    ]


@pytest.mark.parametrize(
    ("code", "how"),
    [("3", "exit with code 3"), ("", "exit with code 0"), ("'no file'", "exit with code 1: no file")],
)
def test_an_exit_is_one_and_no_failure(code: str, how: str, logs: Logs) -> None:
    with pytest.raises(SystemExit), WorkflowSession("Load"):
        sys.exit(*([eval(code)] if code else []))  # noqa: S307 -- of this file

    assert timeless(logs) == [">>> Load started", f"--- Load exited after 0.00s: {how}"]
    assert not [line for line in logs.lines() if "Traceback" in line]


SCRIPT = """
import sys
from kalshi_trio.logging_config import get_logger
from kalshi_trio.workflow_logger import log_workflow

@log_workflow("Nightly load")
def main():
    get_logger(__name__).info("at work")
    sys.exit(3)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("how", ["script", "module", "package", "text"])
def test_a_script_has_a_log_file_of_its_own_name(how: str, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    for name in ("nightly.py", "tools/nightly.py", "tools/__main__.py", "tools/__init__.py"):
        (tmp_path / name).write_text(SCRIPT if "init" not in name else "")
    args, name = {
        "script": (["nightly.py"], "nightly"),
        "module": (["-m", "tools.nightly"], "tools_nightly"),
        "package": (["-m", "tools"], "tools"),
        "text": (["-c", SCRIPT], "__main__"),
    }[how]
    done = subprocess.run([sys.executable, *args], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603

    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    text = (tmp_path / "logs" / f"{name}.log").read_text()
    assert f"| {name:30} | INFO     | at work" in text
    assert "--- Nightly load exited after 0.00s: exit with code 3" in text
    assert [path.name for path in (tmp_path / "logs").glob("*.log") if path.name[:2] not in {"SE", "EV"}] == [
        f"{name}.log"
    ]
