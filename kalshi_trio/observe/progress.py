"""How far something long is: a bar with its estimate on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.terminal import Terminal

log = get_logger(__name__)

LINE_SECONDS = 5.0
"""Between two lines where nobody looks at a bar."""
REFRESH_SECONDS = 0.1

Advance = Callable[[int], None]
"""Told how much is done by now."""


@contextmanager
def progress(what: str, total: int | None, console: Terminal) -> Iterator[Advance]:
    """Shows how much of `total` (None: nobody knows) is done, until the block ends."""
    if console.watched:
        with _bar(what, total, console) as advance:
            yield advance
    else:
        yield _lines(what, total)


@contextmanager
def _bar(what: str, total: int | None, console: Terminal) -> Iterator[Advance]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
    task = bar.add_task(what, total=total)
    shown = 0.0

    def advance(done: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= REFRESH_SECONDS:
            shown = now
            with console.turn:  # the log's thread writes on the same console
                bar.update(task, completed=done)
                bar.refresh()

    with console.turn:
        bar.start()
    try:
        yield advance
    finally:
        with console.turn:
            bar.stop()


def _lines(what: str, total: int | None) -> Advance:
    began = said = time.monotonic()

    def advance(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < LINE_SECONDS:
            return
        said = now
        if not total:
            log.info("%s: %d so far", what, done)
        elif 0 < done < total:
            left = (now - began) * (total - done) / done
            log.info("%s: %d of %d (%d %%), %.0fs to go", what, done, total, 100 * done // total, left)

    return advance
