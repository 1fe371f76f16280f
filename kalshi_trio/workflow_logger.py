"""Workflows in the log: context managers for a stretch of work, a decorator for a function.

    async with AsyncWorkflowSession("My Workflow") as session:
        session.log_event("Starting processing...")

    @log_workflow
    def process_data(): ...

    @log_workflow("Nightly load")
    async def load(): ...

Each sets logging up if nobody has (`setup_session_logger`). Nothing here catches an error or a cancellation.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, overload

from kalshi_trio.log_spans import Span
from kalshi_trio.logging_config import get_logger, setup_session_logger

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_running: Counter[str] = Counter()
"""How many workflows of each name are under way."""


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
        self._label = name

    def log_event(self, message: str, level: str = "info") -> None:
        """Logs `message` at a level named as in `logging`, in any case; raises ValueError for any other name.

        In the files the line's name is followed by the workflow's, `[NAME]`; on the console the workflow's name stands in
        front of the message while there is more than one.
        """
        number = logging.getLevelNamesMapping().get(level.upper())
        if number is None:
            raise ValueError(f"log_event has no level {level!r}: use debug, info, warning, error or critical")
        self._logger.log(number, "%s", message, extra={"workflow": self._label, "among": _running.total() > 1})

    def _begin(self) -> None:
        setup_session_logger()
        _running[self.name] += 1
        self._label = self.name if _running[self.name] == 1 else f"{self.name} #{_running[self.name]}"
        self._span = Span(self.name, self._logger)

    def _end(self, error: BaseException | None) -> None:
        if self._span:
            self._span.end(error)
            self._span = None
            _running[self.name] -= 1


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


class _Decorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """The function, logged."""


@overload
def log_workflow(function: classmethod[T, P, R], /) -> classmethod[T, P, R]: ...
@overload
def log_workflow(function: staticmethod[P, R], /) -> staticmethod[P, R]: ...
@overload
def log_workflow(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def log_workflow(name: str | None = None) -> _Decorator: ...
def log_workflow(name: Any = None) -> Any:
    """Logs each call of a function like a workflow of its name, or of `name`; types and result stay as they are.

    With or without brackets, on functions and methods of every kind: sync, async, generators of both kinds. A generator's
    workflow begins when it is first asked for something, and ends when it is over, closed or fails.
    """
    if name is None or isinstance(name, str):
        return functools.partial(_logged, name)
    return _logged(None, name)


def _logged(name: str | None, function: Any) -> Any:
    """The function, of whatever kind, as one of the same kind."""
    if isinstance(function, classmethod | staticmethod):
        return type(function)(_logged(name, function.__func__))
    own = name or getattr(function, "__qualname__", type(function).__qualname__).rpartition("<locals>.")[2]
    logger = get_logger(getattr(function, "__module__", None) or __name__)
    for is_one, wrapped in (
        (inspect.iscoroutinefunction, _coroutine),
        (inspect.isasyncgenfunction, _async_generator),
        (inspect.isgeneratorfunction, _generator),
    ):
        if is_one(function) or is_one(getattr(function, "__call__", None)):  # noqa: B004 -- its kind is asked for
            return functools.wraps(function)(wrapped(own, logger, function))
    return functools.wraps(function)(_function(own, logger, function))


def _function(name: str, logger: logging.Logger, function: Callable[P, R]) -> Callable[P, R]:
    def logged(*args: P.args, **kwargs: P.kwargs) -> R:
        with WorkflowSession(name, logger):
            return function(*args, **kwargs)

    return logged


def _coroutine(name: str, logger: logging.Logger, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    async def logged(*args: P.args, **kwargs: P.kwargs) -> R:
        async with AsyncWorkflowSession(name, logger):
            return await function(*args, **kwargs)

    return logged


def _generator(
    name: str, logger: logging.Logger, function: Callable[P, Generator[Any, Any, R]]
) -> Callable[P, Generator[Any, Any, R]]:
    def logged(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, R]:
        with WorkflowSession(name, logger):
            return (yield from function(*args, **kwargs))

    return logged


def _async_generator(
    name: str, logger: logging.Logger, function: Callable[P, AsyncGenerator[Any, Any]]
) -> Callable[P, AsyncIterator[Any]]:
    async def logged(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Any, Any]:
        async with AsyncWorkflowSession(name, logger), aclosing(function(*args, **kwargs)) as inner:
            step = inner.__anext__()
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item  # noqa: ASYNC119 -- neither manager is of a scope or a nursery
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 -- thrown in by whoever iterates: it is the inner one's
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)

    return logged
