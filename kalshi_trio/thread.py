"""The one door to worker threads.

A worker thread cannot be cancelled, so time limits belong in the client that it runs, and whoever waits here waits to
the end: the thread is joined, never abandoned (an abandoned chDB insert at exit ended the process by SIGSEGV in one of
five trials).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")
A = TypeVar("A")


class Door:
    """Runs one blocking call at a time, in order of arrival; a door for each owner (a sink, the journal's disk)."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, call: Callable[..., T], *args: object) -> T:
        """Calls `call(*args)` in a worker thread and returns or raises what it does.

        Cancelling takes effect only before the call begins or after it ended; it never leaves a call running behind.
        """
        return await trio.to_thread.run_sync(call, *args, limiter=self._limiter)
