"""One market's book from the request of an audit on: every state that it has had, and which of them REST has shown.

The book as it stands is kept whole, older states as what to undo, so that a busy book costs a few numbers a change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from kalshi_trio.protocol.book import Book

Levels = dict[int, int]
"""Both sides of a book in one: twice the price_e4, plus one on the NO side → count_e2, always above zero."""


def levels_of(book: Book) -> Levels:
    """A book's levels."""
    return flat(book.yes.levels, book.no.levels)


def flat(yes: dict[int, int], no: dict[int, int]) -> Levels:
    """The same from price_e4 → count_e2 of each side."""
    levels = {price << 1: size for price, size in yes.items()}
    levels.update((price << 1 | 1, size) for price, size in no.items())
    return levels


def differing(one: Levels, other: Levels) -> set[int]:
    """The levels that are not the same in both."""
    return {key for key, _ in one.items() ^ other.items()}


@dataclass(slots=True)
class Answer:
    """What REST said of the market. `frame`: the answer's record; times in ns since 1970."""

    frame: int
    status: int
    sent_at: int
    answered_at: int
    levels: Levels


class Nearest(NamedTuple):
    """The state that is most like the answer: in how many levels it differs, and the record that brought it about."""

    differing: int
    frame: int


@dataclass(slots=True, eq=False)
class Watch:
    """The book of `market` since record `frame` asked for it.

    `seen`: the record that last changed the book; `lost`: how often it had been lost before. `due`: reading of the
    monotonic clock at which to wait no longer. `past`: older states, the oldest first, each as the record that brought
    it about and its sizes (0: none) of the levels that the next state has otherwise.
    """

    request: int
    market: str
    frame: int
    asked_at: int
    due: int
    lost: int
    seen: int
    levels: Levels
    past: list[tuple[int, Levels]] = field(default_factory=list)
    states: int = 1
    changes: int = 0
    answer: Answer | None = None
    nearest: Nearest | None = None

    def moved(self, frame: int, book: Book) -> None:
        """Record `frame` touched the book."""
        levels = levels_of(book)
        changed = differing(self.levels, levels)
        if changed:
            self.states += 1
            self.changes += len(changed)
            if self.answer is None:
                self.past.append((self.seen, {key: self.levels.get(key, 0) for key in changed}))
        self.levels, self.seen = levels, frame
        if self.answer is not None:
            self._compare(Nearest(len(differing(levels, self.answer.levels)), frame))

    def answered(self, answer: Answer) -> None:
        """REST has answered: finds the nearest of the states so far, of equally near ones the newest."""
        self.answer = answer
        wrong = differing(self.levels, answer.levels)
        self._compare(Nearest(len(wrong), self.seen))
        for frame, sizes in reversed(self.past):
            for key, size in sizes.items():
                if answer.levels.get(key, 0) == size:
                    wrong.discard(key)
                else:
                    wrong.add(key)
            self._compare(Nearest(len(wrong), frame))
        self.past.clear()

    def _compare(self, other: Nearest) -> None:
        if self.nearest is None or other.differing < self.nearest.differing:
            self.nearest = other

    @property
    def settled(self) -> bool:
        """Whether some state equals the answer."""
        return self.nearest is not None and not self.nearest.differing
