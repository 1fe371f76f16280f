"""Books that have not come yet: when to ask for each, and when asking is no use any more.

Waits grow from 5 s. A book that was whole before in this session is asked for three times, then only a new connection
can help, once. A market that never had a book does not exist (yet), as far as we can tell: an unknown ticker gets no
error. It is warned about after 5 s, once, waited for, and at last asked for every minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SNAPSHOT_SECONDS = 5.0
MERGE_SECONDS = 0.1
"""Books are lost in several facts of one moment; one command asks for all of them."""
ASKS = 3
SLOW_SECONDS = 60.0


@dataclass(slots=True)
class _Book:
    due: float
    asked: int = 0


class Awaited:
    """One session's; times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}
        self._known: set[str] = set()
        self._warned: set[str] = set()

    def expect(self, markets: Iterable[str], now: float) -> None:
        """Their snapshots should come by themselves."""
        for market in markets:
            self._books.setdefault(market, _Book(now + SNAPSHOT_SECONDS))

    def lose(self, markets: Iterable[str], now: float) -> None:
        """Their snapshots have to be asked for. What is awaited already keeps its turn."""
        for market in markets:
            self._books.setdefault(market, _Book(now + MERGE_SECONDS))

    def came(self, market: str) -> bool:
        """A snapshot came; whether we had warned that there might never be one."""
        self._books.pop(market, None)
        self._known.add(market)
        warned = market in self._warned
        self._warned.discard(market)
        return warned

    def forget(self, markets: Iterable[str]) -> None:
        """These are not subscribed to any more."""
        for market in markets:
            self._books.pop(market, None)

    def clear(self) -> None:
        """No book is awaited: the subscription is gone."""
        self._books.clear()

    def next_at(self) -> float:
        """When the next is due, infinity for never."""
        return min((book.due for book in self._books.values()), default=float("inf"))

    def due(self, now: float, most: int) -> list[str]:
        """Up to `most` markets to ask for now."""
        return [market for market, book in self._books.items() if book.due <= now][:most]

    def hopeless(self, markets: Sequence[str]) -> list[str]:
        """Those that were whole once and have been asked for often enough; each is told once."""
        found = [market for market in markets if market in self._known and self._books[market].asked >= ASKS]
        self._known.difference_update(found)
        return found

    def doubtful(self, markets: Sequence[str]) -> list[str]:
        """Those that never had a book; each is told once."""
        found = [market for market in markets if market not in self._known and market not in self._warned]
        self._warned.update(found)
        return found

    def asked(self, markets: Sequence[str], now: float) -> None:
        """A command has just asked for these."""
        for market in markets:
            book = self._books[market]
            book.due = now + (SLOW_SECONDS if book.asked == ASKS else SNAPSHOT_SECONDS * 2**book.asked)
            book.asked = min(book.asked + 1, ASKS)
