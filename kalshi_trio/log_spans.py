"""What begins and ends in the log: `>>> NAME started`, then how it ended, after how long and why.

Lines: `<<< NAME completed in 8.64s`, `!!! NAME FAILED after 8.64s: ValueError: text`,
`--- NAME cancelled after 8.64s: SIGTERM`, `--- NAME exited after 8.64s: exit with code 3`.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import trio

from kalshi_trio.errors import UserError

Outcome = Literal["finished", "cancelled", "failed", "exited"]
_TASK = re.compile(r"<Task ['\"](.+)['\"] at 0x")
"""How Trio tells which task cancelled: its name, that of a function with its module unless it was given one."""

_told: deque[BaseException] = deque(maxlen=64)
"""Errors that were logged with their traceback already, on their way up through several spans."""


class Ending(NamedTuple):
    """How something ended. `detail` says why it was cancelled or with which error it failed.

    `by` is the name of the task that cancelled it, empty if nobody knows (a deadline has none).
    """

    outcome: Outcome
    detail: str = ""
    by: str = ""


def ending(error: BaseException | None) -> Ending:
    """How something ended that left this exception behind; a group counts by its leaves, where any error is a failure.

    `sys.exit` is an exit with its code; a generator that is closed and KeyboardInterrupt count as cancelled.
    """
    if error is None:
        return Ending("finished")
    leaves = list(_leaves(error))
    failures = [leaf for leaf in leaves if isinstance(leaf, Exception)]
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        return Ending("failed", _named(failures[0]) + more)
    exits = [leaf for leaf in leaves if isinstance(leaf, SystemExit)]
    return _exited(exits[0]) if exits else _cancelled(leaves[0])


class Span:
    """Logs the start of `name` when it is made and its end when told; `clock` gives seconds."""

    def __init__(self, name: str, logger: logging.Logger, clock: Callable[[], float] = time.perf_counter) -> None:
        self.name, self._logger, self._clock = name, logger, clock
        self.started = clock()
        logger.info(">>> %s started", name)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self.started

    def end(self, error: BaseException | None, *, once: bool = False) -> Ending:
        """Logs the end that `error` (None: none) stands for. The traceback goes to the files, once an error that is no user's.

        `once`: an error that was logged already gets a DEBUG line only.
        """
        how, seconds = ending(error), self.seconds
        if how.outcome == "finished":
            self._logger.info("<<< %s completed in %.2fs", self.name, seconds)
        elif how.outcome in {"cancelled", "exited"}:
            self._logger.info("--- %s %s after %.2fs: %s", self.name, how.outcome, seconds, how.detail)
        elif error is not None:
            new = _tell(error)
            level = logging.ERROR if new or not once else logging.DEBUG
            text = "!!! %s FAILED after %.2fs: %s"
            bug = not all(isinstance(leaf, UserError) for leaf in _leaves(error))
            self._logger.log(level, text, self.name, seconds, how.detail, exc_info=error if new and bug else None)
        return how


def _tell(error: BaseException) -> bool:
    """Whether any error in there is new; from now on none is."""
    new = [leaf for leaf in _leaves(error) if not any(leaf is told for told in _told)]
    _told.extend(new)
    return any(isinstance(leaf, Exception) for leaf in new)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _exited(error: SystemExit) -> Ending:
    """What Python makes of what `sys.exit` was given: a number is the code, nothing is 0, anything else is printed, and 1."""
    if error.code is None or isinstance(error.code, int):
        return Ending("exited", f"exit with code {int(error.code or 0)}")
    return Ending("exited", f"exit with code 1: {error.code}")


def _cancelled(error: BaseException) -> Ending:
    if isinstance(error, GeneratorExit):
        return Ending("cancelled", "closed before its end")
    if not isinstance(error, trio.Cancelled):
        return Ending("cancelled", _named(error))
    found = _TASK.match(error.source_task or "")
    by = found[1].rpartition(".")[2] if found else ""
    if (
        error.source == "nursery"
    ):  # Trio's own text nests the failure's repr as deep as nurseries are: it is logged already
        return Ending("cancelled", f"{by or 'another task'} failed", by)
    return Ending("cancelled", error.reason or {"explicit": "no reason given"}.get(error.source, error.source), by)
