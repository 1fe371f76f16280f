"""What SIGINT and SIGTERM do while nothing is under way: before the imports are done and Trio runs."""

from __future__ import annotations

import os
import signal
from types import FrameType

STOPPED = 130
"""The exit code of what was stopped before it began, or before its end."""


def leave_early() -> None:
    """From now on they end the process at once, with one line.

    No exception does it: one that is raised in the middle of an import may be swallowed there, or shown with a
    traceback. And as the first process of a container it must ask for SIGTERM itself: the kernel drops what such a
    process has no handler for.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    os.write(2, f"error: Stopped by {signal.Signals(number).name}: nothing had begun.\n".encode())
    os._exit(STOPPED)


def raise_from_now_on() -> None:
    """Where they would still end the process at once: now there is something to clean up, so they raise."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _raise)


def _raise(number: int, _frame: FrameType | None) -> None:
    os.write(2, f"error: Stopped by {signal.Signals(number).name}.\n".encode())
    raise SystemExit(STOPPED)
