"""`book`: one market's book at one instant of a session, which may be recorded at the same time."""

from __future__ import annotations

from pathlib import Path

from kalshi_trio.history.book.books import BookAt, SessionBooks
from kalshi_trio.history.times import Clock, Point, at
from kalshi_trio.journal.folder import resolve
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings
from kalshi_trio.thread import Door


async def ask_book(
    settings: Settings, _console: Terminal, market: str, point: Point | None, name: str, clock: Clock
) -> BookAt:
    """The market's book at `point` (None: the last data frame) of the session `name`. Raises UsageError."""
    return await Door().run(_ask, resolve(settings.anchored().data_dir, name), market, point, clock)


def _ask(folder: Path, market: str, point: Point | None, clock: Clock) -> BookAt:
    books = SessionBooks(folder)
    return books.at(market, books.last_data() if point is None else at(folder, books.last, point, clock))
