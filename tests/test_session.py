"""The diary says how each task ended; stopping drains, and a deadline stands behind it."""

from __future__ import annotations

import os
import signal

import pytest
import trio
import trio.testing
from log_help import Logs, logs
from trio.testing import MockClock

from kalshi_trio.session import Session, keep_signals, open_session, watch_signals

__all__ = ["logs"]


async def until_stopped(session: Session, then: float = 0.0, *, task_status: trio.TaskStatus[str]) -> None:
    """A well-behaved source."""
    task_status.started("ready")
    await session.stopping.wait()
    await trio.sleep(then)


async def fail_after(seconds: float, error: Exception) -> None:
    await trio.sleep(seconds)
    raise error


async def cancel(scope: trio.CancelScope) -> None:
    await trio.lowlevel.checkpoint()
    scope.cancel(reason="enough")


def entries(session: Session) -> dict[str, tuple[str, float, str]]:
    return {entry.name: (entry.outcome, round(entry.seconds, 2), entry.detail) for entry in session.diary}


async def test_a_session_ends_when_all_its_tasks_have(autojump_clock: MockClock, logs: Logs) -> None:
    async with open_session("run") as session:
        session.start_soon(session.nursery, "short", trio.sleep, 1)
        session.start_soon(session.nursery, "long", trio.sleep, 3600.38)

    assert entries(session) == {
        "run": ("finished", 3600.38, ""),
        "short": ("finished", 1.0, ""),
        "long": ("finished", 3600.38, ""),
    }
    first, *begun = logs.messages("kalshi_trio_session.log")[:3]
    assert (first, set(begun)) == (">>> run started", {">>> short started", ">>> long started"})
    assert logs.messages("kalshi_trio_session.log")[3:] == [
        "<<< short completed in 1.00s",
        "<<< long completed in 3600.38s",
        "<<< run completed in 3600.38s",
    ]


async def test_stopping_lets_everything_drain(autojump_clock: MockClock, logs: Logs) -> None:
    async with open_session("run") as session:
        assert await session.start(session.nursery, "source", until_stopped, session, 5.0) == "ready"
        session.stop("SIGTERM")
        session.stop("SIGINT")

    assert session.stop_reason == "SIGTERM"
    assert (session.overdue, session.interrupted) == ([], False)
    assert entries(session)["source"] == ("finished", 5.0, "")
    assert logs.messages("kalshi_trio_session.log").count("Stopping: SIGTERM") == 1


async def test_the_deadline_says_what_did_not_end_and_cancels_it(autojump_clock: MockClock, logs: Logs) -> None:
    async with open_session("run", grace=8.0) as session:
        await session.serve("view", until_stopped, session, 100.0)
        session.start_soon(session.nursery, "good", trio.sleep, 1)
        session.start_soon(session.nursery, "stuck", trio.sleep_forever)
        session.stop("SIGTERM")

    reason = "not ended 8s after SIGTERM"
    assert session.overdue == ["stuck"]
    assert entries(session)["stuck"] == ("cancelled", 8.0, reason)
    assert entries(session)["good"][0] == "finished"
    assert f"Cancelled, {reason}: stuck" in logs.messages("kalshi_trio_session.log")
    assert f"--- stuck cancelled after 8.00s: {reason}" in logs.messages("kalshi_trio_session.log")


async def test_patience_can_be_longer_than_the_deadline_and_end_early(autojump_clock: MockClock) -> None:
    async with open_session("run", grace=8.0) as session:
        session.patience = lambda waited: waited < 20 and trio.current_time() < 13
        session.start_soon(session.nursery, "slow", trio.sleep, 12)
        session.start_soon(session.nursery, "stuck", trio.sleep_forever)
        session.stop("100 frames received")

    assert entries(session)["slow"] == ("finished", 12.0, "")
    assert entries(session)["stuck"][0::2] == ("cancelled", "not ended 13s after 100 frames received")


@pytest.mark.parametrize(("asked_at", "ended_at"), [(5, 13), (58, 60)])
async def test_a_signal_shortens_what_a_limit_of_our_own_leaves_to_drain_in(
    asked_at: int, ended_at: int, autojump_clock: MockClock
) -> None:
    send, heard = trio.open_memory_channel[int](2)
    async with open_session("run") as session:
        session.patience = lambda waited: waited < 60
        await session.serve("signals", watch_signals, session, heard)
        session.start_soon(session.nursery, "stuck", trio.sleep_forever)
        session.stop("the limit")
        await trio.sleep(asked_at)
        send.send_nowait(signal.SIGTERM)
        await trio.sleep(1)
        send.send_nowait(signal.SIGTERM)

    assert entries(session)["stuck"] == ("cancelled", ended_at, f"not ended {ended_at}s after the limit")
    assert (session.stop_reason, session.interrupted) == ("the limit", False)


async def test_a_service_ends_with_the_session_and_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with open_session("run") as session:
        await session.serve("view", until_stopped, session, 100.0)
        session.start_soon(session.nursery, "work", trio.sleep, 2)

    assert entries(session)["view"] == ("cancelled", 2.0, "the session is over")


async def test_a_failing_task_is_logged_once_and_leaves_in_a_group(autojump_clock: MockClock, logs: Logs) -> None:
    opened: list[Session] = []
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="text"), flatten_subgroups=True):
        async with open_session("run") as session:
            opened.append(session)
            session.start_soon(session.nursery, "bad", fail_after, 8.64, ValueError("text"))
            session.start_soon(session.nursery, "sibling", trio.sleep_forever)

    diary = entries(opened[0])
    assert diary["bad"] == ("failed", 8.64, "ValueError: text")
    assert diary["sibling"][::2] == ("cancelled", "bad failed")
    assert diary["run"][::2] == ("failed", "ValueError: text")
    errors = [line for line in logs.lines("kalshi_trio_session.log") if "| ERROR " in line]
    assert [line.rpartition(" | ")[2] for line in errors] == ["!!! bad FAILED after 8.64s: ValueError: text"]


async def test_a_task_that_fails_before_it_is_ready_fails_the_start(logs: Logs) -> None:
    async def broken(**_status: object) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("port in use")

    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="port in use"), flatten_subgroups=True):
        async with open_session("run") as session:
            await session.start(session.nursery, "server", broken)

    assert [line.split(" after ")[0] for line in logs.messages() if line.startswith("!!! ")] == [
        "!!! server FAILED",
        "!!! run FAILED",
    ]


async def test_who_cancelled_a_task_is_in_the_diary() -> None:
    async with open_session("run") as session:
        session.start_soon(session.nursery, "task", trio.sleep_forever)
        await trio.testing.wait_all_tasks_blocked()
        session.start_soon(session.nursery, "boss", cancel, session.nursery.cancel_scope)

    entry = session.diary[1]
    assert (entry.outcome, entry.detail, entry.by) == ("cancelled", "enough", "boss")


async def test_the_callers_own_work_can_stand_in_the_diary(autojump_clock: MockClock) -> None:
    async with open_session("run") as session:
        with session.entry("summary"):
            await trio.sleep(2)

    assert entries(session)["summary"] == ("finished", 2.0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_by_draining(number: signal.Signals) -> None:
    async with open_session("run") as session:
        await session.serve("signals", watch_signals, session)
        await session.start(session.nursery, "source", until_stopped, session)
        os.kill(os.getpid(), number)

    assert (session.stop_reason, session.interrupted) == (number.name, False)
    assert entries(session)["source"][0] == "finished"


async def test_a_second_ctrl_c_ends_at_once() -> None:
    async with open_session("run") as session:
        await session.serve("signals", watch_signals, session)
        session.start_soon(session.nursery, "stuck", trio.sleep_forever)
        os.kill(os.getpid(), signal.SIGINT)
        await session.stopping.wait()
        os.kill(os.getpid(), signal.SIGINT)

    assert session.interrupted
    assert entries(session)["stuck"][::2] == ("cancelled", "second Ctrl-C")


async def test_ctrl_c_while_sigterm_drains_still_counts_as_the_first() -> None:
    async with open_session("run") as session:
        await session.serve("signals", watch_signals, session)
        await session.start(session.nursery, "source", until_stopped, session)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    assert not session.interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_that_comes_before_anybody_listens_is_kept(number: signal.Signals) -> None:
    before = keep_signals()
    try:
        signal.raise_signal(number)
        async with open_session("run") as session:
            await session.serve("signals", watch_signals, session)
            with trio.fail_after(5):
                await session.stopping.wait()
        assert session.stop_reason == number.name

        async with open_session("another") as later:
            await later.serve("signals", watch_signals, later)
            await trio.testing.wait_all_tasks_blocked()
        assert not later.stopping.is_set()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
