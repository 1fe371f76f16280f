"""The session: the root nursery and its diary. Who started, how each task ended, why, after how long.

Stopping is draining: `stop` only sets `stopping`, upon which the sources end and the rest runs dry. A deadline stands
behind it.

    async with open_session("recording") as session:
        await session.serve("signals", watch_signals, session)
        journal = await session.start(session.nursery, "journal", run_journal)
        session.start_soon(session.nursery, "feed", run_feed)
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVarTuple

import trio

from kalshi_trio.log_spans import Outcome, Span
from kalshi_trio.logging_config import get_logger

log = get_logger(__name__)
Args = TypeVarTuple("Args")
Task = Callable[..., Awaitable[object]]

GRACE = 8.0
"""Seconds to drain in: inside the ten that Podman waits before it kills."""


@dataclass(slots=True)
class Entry:
    """One task in the diary; times in seconds of Trio's clock."""

    name: str
    started: float
    seconds: float = 0.0
    outcome: Outcome | Literal["running"] = "running"
    detail: str = ""
    """Why it was cancelled, or with which error it failed."""
    by: str = ""
    """The name of the task that cancelled it."""
    service: bool = False
    """Nobody waits for it: it is cancelled at the session's end."""


class Session:
    """What `open_session` yields; used on the event loop only. `diary` has the tasks in the order of their start."""

    nursery: trio.Nursery
    """The root nursery: the session waits for its tasks."""

    def __init__(self, name: str, grace: float, services: trio.Nursery) -> None:
        self.name, self.grace = name, grace
        self.patience: Callable[[float], bool] = lambda waited: waited < self.grace
        """Whether to go on waiting, that many seconds after `stop`; asked once a second."""
        self._services = services
        self.diary: list[Entry] = []
        self.stopping = trio.Event()
        self.stop_reason = ""
        self.overdue: list[str] = []
        """Names of the tasks that the deadline cancelled."""
        self.interrupted = False
        """A second Ctrl-C came: the process is to end with code 130."""
        self._last_at = float("inf")

    def start_soon(
        self,
        nursery: trio.Nursery,
        name: str,
        task: Callable[[*Args], Awaitable[object]],
        *args: *Args,
    ) -> None:
        """Starts `task(*args)` in `nursery` and keeps its entry in the diary."""
        nursery.start_soon(self._run, name, task, args, name=name)

    async def start(self, nursery: trio.Nursery, name: str, task: Task, *args: object) -> Any:
        """Like `nursery.start`: waits for the task's `task_status.started(value)` and returns that value."""
        return await nursery.start(self._started(name, task, args), name=name)

    async def serve(self, name: str, task: Task, *args: object) -> Any:
        """`start` for a task that waits for the session's end (signals, a live view): it is cancelled then."""
        return await self._services.start(self._started(name, task, args, service=True), name=name)

    def stop(self, reason: str) -> None:
        """Asks the sources to end and puts the deadline behind it; only the first call, and its reason, count."""
        if self.stopping.is_set():
            return
        self.stop_reason = reason
        log.info("Stopping: %s", reason)
        self.stopping.set()

    def hurry(self) -> None:
        """Whoever asks while it stops already waits no longer than GRACE, however much patience there was before."""
        self._last_at = min(self._last_at, trio.current_time() + GRACE)

    def interrupt(self) -> None:
        """Ends everything at once: what waits to be stored stays in the journal."""
        self.interrupted = True
        log.warning("Stopping at once: second Ctrl-C")
        self.nursery.cancel_scope.cancel(reason="second Ctrl-C")

    @contextmanager
    def entry(self, name: str, *, service: bool = False) -> Iterator[None]:
        """Keeps a stretch of the caller's own work in the diary, like a task."""
        entry = Entry(name, trio.current_time(), service=service)
        self.diary.append(entry)
        span = Span(name, log, trio.current_time)
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            entry.seconds = span.seconds
            entry.outcome, entry.detail, entry.by = span.end(error, once=True)
            # Else the frame keeps the error, and the error's traceback the frame.
            del error

    async def stand_behind(self) -> None:
        """The deadline behind `stop`; `open_session` runs it."""
        await self.stopping.wait()
        asked = trio.current_time()
        while self.patience(waited := trio.current_time() - asked) and trio.current_time() < self._last_at:
            left = self.grace - waited
            await trio.sleep(min(1.0, left) if left > 0 else 1.0)
        self.overdue = [entry.name for entry in self.diary[1:] if entry.outcome == "running" and not entry.service]
        late = f"not ended {waited:.0f}s after {self.stop_reason}"
        log.warning("Cancelled, %s: %s", late, ", ".join(self.overdue) or "the caller")
        self.nursery.cancel_scope.cancel(reason=late)

    async def _run(self, name: str, task: Task, args: tuple[object, ...]) -> None:
        with self.entry(name):
            await task(*args)

    def _started(self, name: str, task: Task, args: tuple[object, ...], *, service: bool = False) -> Task:
        async def begin(**status: trio.TaskStatus[Any]) -> None:
            with self.entry(name, service=service):
                await task(*args, **status)

        return begin


@asynccontextmanager
async def open_session(name: str, *, grace: float = GRACE) -> AsyncIterator[Session]:
    """The session `name` around its root nursery: it ends when the block and all tasks have.

    Errors leave it as they leave nurseries, in groups. What the deadline or a second Ctrl-C cancelled leaves no error:
    `overdue` and `interrupted` tell.
    """
    async with trio.open_nursery() as services:
        session = Session(name, grace, services)
        with session.entry(name):
            async with trio.open_nursery() as session.nursery:
                services.start_soon(session.stand_behind)
                yield session
        services.cancel_scope.cancel(reason="the session is over")


_early: list[int] = []


def _keep(number: int, _frame: object) -> None:
    _early.append(number)


def keep_signals() -> dict[int, Any]:
    """From now on SIGINT and SIGTERM wait for `hear_signals`; gives the handlers of before. For the main thread only.

    Those would raise wherever the process is just then: in the event loop that is an internal error of Trio.
    """
    return {number: signal.signal(number, _keep) for number in (signal.SIGINT, signal.SIGTERM)}


@contextmanager
def hear_signals() -> Iterator[AsyncIterator[int]]:
    """Receives SIGINT and SIGTERM from now on, and those that were kept, for `watch_signals`. For the main thread only.

    What comes when nobody takes it any more is let go: what it asks for is under way.
    """
    before = keep_signals()
    try:
        with trio.open_signal_receiver(*before) as heard:
            while _early:
                signal.raise_signal(_early.pop(0))
            yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _early.clear()


async def watch_signals(
    session: Session,
    heard: AsyncIterator[int] | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Turns SIGINT and SIGTERM into `session.stop`, a second SIGINT into `session.interrupt`; runs until cancelled.

    Where it stops already, by its own limit say, the first of them is `session.hurry`.

    `heard` are those of a receiver that was opened before the session. For the main thread only.
    """
    asked = 0
    with nullcontext(heard) if heard is not None else hear_signals() as signals:
        task_status.started()
        async for number in signals:
            asked += number == signal.SIGINT
            if asked > 1:
                session.interrupt()
            elif session.stopping.is_set():
                session.hurry()
            else:
                session.stop(signal.Signals(number).name)
