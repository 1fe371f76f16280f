"""One Trio run, with its errors taken out of their groups."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import TypeVar

import trio

from kalshi_trio.early_signals import raise_from_now_on
from kalshi_trio.errors import UserError, first_of

T = TypeVar("T")
STOPPING = (signal.SIGINT, signal.SIGTERM)

SWITCH_SECONDS = 0.001
"""How long a worker thread may keep the interpreter's lock from the feed (Python's own: 5 ms, at each read)."""


def run_trio(main: Callable[[], Awaitable[T]]) -> T:
    """Runs it; a UserError comes out of whatever groups it was raised in."""
    raise_from_now_on()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        mistake, rest = group.split(UserError)
        if mistake is not None and rest is None:
            raise first_of(mistake) from None
        raise


async def to_its_end(main: Callable[[], Awaitable[T]]) -> T:
    """Awaits what handles signals itself; those that come when it is over are let go: the process is ending anyhow.

    The handlers of before would raise wherever the event loop is just then. For the main thread only.
    """
    try:
        return await main()
    finally:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)


def leave_at_once() -> None:
    """From now on SIGINT and SIGTERM end the process, with code 0: nothing is left to be stored."""
    for number in STOPPING:
        signal.signal(number, _leave)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
