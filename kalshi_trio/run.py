"""One Trio run, with its errors taken out of their groups."""

from __future__ import annotations

import gc
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from kalshi_trio.errors import UserError

T = TypeVar("T")

SWITCH_SECONDS = 0.001
"""How long a worker thread may keep the interpreter's lock from the feed (Python's own: 5 ms, at each read)."""


def run_trio(main: Callable[[], Awaitable[T]]) -> T:
    """Runs it; a UserError comes out of whatever groups it was raised in."""
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        mistake, rest = group.split(UserError)
        if mistake is not None and rest is None:
            raise _first(mistake) from None
        raise


def _first(group: BaseExceptionGroup[UserError]) -> UserError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
