"""Workflows in the log: context managers for a stretch of work, a decorator for a function.

    async with AsyncWorkflowSession("My Workflow") as session:
        session.log_event("Starting processing...")

    @log_workflow
    def process_data(): ...

Each sets logging up if nobody has (`setup_session_logger`). Nothing here catches an error or a cancellation.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, cast

from kalshi_trio.log_spans import Span
from kalshi_trio.logging_config import get_logger, setup_session_logger

P = ParamSpec("P")
R = TypeVar("R")


def log_environment(values: Mapping[str, object], logger: logging.Logger | None = None) -> None:
    """Logs `=== Environment Configuration ===` and a line `[ENV] NAME: value` for each; secrets come masked."""
    to = logger or get_logger(__name__)
    to.info("=== Environment Configuration ===")
    for name, value in values.items():
        to.info("[ENV] %s: %s", name, value)


class _Workflow:
    """What both kinds of workflow share."""

    def __init__(self, name: str, logger: logging.Logger | None = None) -> None:
        self.name = name
        self._logger = logger or get_logger(__name__)
        self._span: Span | None = None

    def log_event(self, message: str, level: str = "info") -> None:
        """Logs `message` at a level named as in `logging`, in any case; raises ValueError for any other name."""
        number = logging.getLevelNamesMapping().get(level.upper())
        if number is None:
            raise ValueError(f"log_event has no level {level!r}: use debug, info, warning, error or critical")
        self._logger.log(number, "%s", message)

    def _begin(self) -> None:
        setup_session_logger()
        self._span = Span(self.name, self._logger)

    def _end(self, error: BaseException | None) -> None:
        if self._span:
            self._span.end(error)


class WorkflowSession(_Workflow):
    """`with WorkflowSession("NAME") as session:` logs the start, the end, the time taken and what went wrong."""

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end(error)


class AsyncWorkflowSession(_Workflow):
    """The same for `async with`, in Trio or any other event loop; a cancellation is logged with its reason."""

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._end(error)


def log_workflow(function: Callable[P, R]) -> Callable[P, R]:
    """Logs each call of a sync or async function like a workflow of its name; types and result stay as they are."""
    name = function.__qualname__.rpartition("<locals>.")[2]
    logger = get_logger(function.__module__)

    if inspect.iscoroutinefunction(function):
        call = cast("Callable[P, Awaitable[object]]", function)

        @functools.wraps(function)
        async def logged_async(*args: P.args, **kwargs: P.kwargs) -> object:
            async with AsyncWorkflowSession(name, logger):
                return await call(*args, **kwargs)

        return cast("Callable[P, R]", logged_async)

    @functools.wraps(function)
    def logged(*args: P.args, **kwargs: P.kwargs) -> R:
        with WorkflowSession(name, logger):
            return function(*args, **kwargs)

    return logged
