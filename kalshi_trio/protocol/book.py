"""One market's order book: two ladders of bids, YES and NO, in exact integers.

A YES ask is a NO bid seen from the other side: ask = 1 dollar - best NO bid, with that bid's size. A delta never takes
a level below zero in clean data (7.7 million replayed), so a negative level means that something was missed.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct, field

ONE_DOLLAR_E4 = 10_000


class Top(NamedTuple):
    """Best bid and ask in YES terms, each with its size; None where that side is empty."""

    bid_e4: int | None
    bid_e2: int | None
    ask_e4: int | None
    ask_e2: int | None


NO_TOP = Top(None, None, None, None)


class Book(Struct):
    """Levels by price: price_e4 → count_e2, always above zero; `best_yes` and `best_no` are 0 where a side is empty."""

    yes: dict[int, int] = field(default_factory=dict)
    no: dict[int, int] = field(default_factory=dict)
    best_yes: int = 0
    best_no: int = 0

    def replace(self, yes: dict[int, int], no: dict[int, int]) -> None:
        """Puts a snapshot in the place of all levels."""
        self.yes = yes
        self.no = no
        self.best_yes = max(yes, default=0)
        self.best_no = max(no, default=0)

    def apply(self, side: str, price_e4: int, delta_e2: int) -> int:
        """The level's size after the delta. Below zero the book cannot be true, and is left as it was."""
        levels = self.yes if side == "yes" else self.no
        size = levels.get(price_e4, 0) + delta_e2
        if size > 0:
            levels[price_e4] = size
            if side == "yes":
                self.best_yes = max(self.best_yes, price_e4)
            elif price_e4 > self.best_no:
                self.best_no = price_e4
        elif size == 0:
            levels.pop(price_e4, None)
            if side == "yes":
                if price_e4 == self.best_yes:
                    self.best_yes = max(levels, default=0)
            elif price_e4 == self.best_no:
                self.best_no = max(levels, default=0)
        return size

    def crossed(self) -> bool:
        """Whether somebody bids more than somebody else asks; true only inside one instant of the exchange."""
        return self.best_yes + self.best_no > ONE_DOLLAR_E4 and self.best_yes > 0 and self.best_no > 0

    def top(self) -> Top:
        """Best bid and ask."""
        yes, no = self.best_yes, self.best_no
        return Top(
            yes or None,
            self.yes[yes] if yes else None,
            ONE_DOLLAR_E4 - no if no else None,
            self.no[no] if no else None,
        )
