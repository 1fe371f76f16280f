"""Books that have not come yet: when to ask for each, and when asking is no use any more.

Waits for an answer grow from 5 s. A book that was whole before in this session is asked for three times, then only a new
connection can help, once. A market that never had a book does not exist (yet), as far as we can tell: an unknown ticker
gets no error. It is warned about after 5 s, once, waited for, and at last asked for every minute.

A book that is given and lost again is asked for ever more seldom, whatever it was lost for: at once, then not within 1, 2,
4 … 60 s of the last time, until it has stood whole for a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SNAPSHOT_SECONDS = 5.0
MERGE_SECONDS = 0.1
"""Books are lost in several facts of one moment; one command asks for all of them."""
ASKS = 3
SLOW_SECONDS = 60.0
STEADY_SECONDS = 60.0
"""A book that stood whole for so long is asked for as if for the first time."""


@dataclass(slots=True)
class _Book:
    due: float
    asked: int = 0


@dataclass(slots=True)
class _Pace:
    """How often a market was asked for since its book last stood; `whole_at`: since when it is whole, else None."""

    asks: int = 0
    asked_at: float = 0.0
    whole_at: float | None = None
    named: bool = False

    def next_at(self) -> float:
        """Before this it is not asked for again."""
        return self.asked_at + min(2.0 ** (self.asks - 1), SLOW_SECONDS) if self.asks else 0.0


class Awaited:
    """One session's; times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}
        self._paces: dict[str, _Pace] = {}
        self._known: set[str] = set()
        self._warned: set[str] = set()

    def expect(self, markets: Iterable[str], now: float) -> None:
        """Their snapshots should come by themselves."""
        for market in markets:
            self._books.setdefault(market, _Book(now + SNAPSHOT_SECONDS))

    def lose(self, markets: Iterable[str], now: float) -> None:
        """Their snapshots have to be asked for. What is awaited already keeps its turn."""
        for market in markets:
            pace = self._pace(market, now)
            pace.whole_at = None
            self._books.setdefault(market, _Book(max(now + MERGE_SECONDS, pace.next_at())))

    def _pace(self, market: str, now: float) -> _Pace:
        """The market's, which begins anew where its book stood."""
        pace = self._paces.get(market)
        if pace is None or (pace.whole_at is not None and now - pace.whole_at >= STEADY_SECONDS):
            pace = self._paces[market] = _Pace()
        return pace

    def came(self, market: str, now: float) -> bool:
        """A snapshot came; whether we had warned that there might never be one."""
        self._books.pop(market, None)
        pace = self._paces.get(market)
        if pace is not None and pace.whole_at is None:
            pace.whole_at = now
        self._known.add(market)
        warned = market in self._warned
        self._warned.discard(market)
        return warned

    def stubborn(self, markets: Iterable[str]) -> list[str]:
        """Those of these lost books that were asked for three times and never stood; each is named once."""
        found = [market for market in markets if (pace := self._paces[market]).asks >= ASKS and not pace.named]
        for market in found:
            self._paces[market].named = True
        return found

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
            book, pace = self._books[market], self._pace(market, now)
            pace.asks, pace.asked_at = pace.asks + 1, now
            wait = SLOW_SECONDS if book.asked == ASKS else SNAPSHOT_SECONDS * 2**book.asked
            book.due = max(now + wait, pace.next_at())
            book.asked = min(book.asked + 1, ASKS)
