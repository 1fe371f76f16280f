"""A book for the plain model: two dicts and what is known of them."""

from __future__ import annotations

from typing import Any

from plain_cover import Cover
from plain_wire import Row, count_text, price_text


def new_book() -> dict[str, Any]:
    """`via`: whence it came; `based`: there was a snapshot; `whole`: it can be trusted; `time`: of its last change.

    `proved`: when a snapshot last showed it; `had`: there ever was one; `closed`: "emptied" or "determined".
    """
    empty: dict[str, Any] = {"yes": {}, "no": {}, "via": None, "based": False, "whole": False}
    empty |= {"proved": 0, "had": False, "closed": "", "cover": Cover(), "doubted": False, "turned": False}
    return empty | {"time": None, "seen": (0, 0), "told": None}


def best(levels: dict[int, int]) -> tuple[int | None, int | None]:
    """The highest bid of one side, and its size."""
    price = max(levels, default=None)
    return price, None if price is None else levels[price]


def top(of: tuple[int | None, ...]) -> Row:
    """Bid, its size, ask, its size, as the table has them."""
    prices = {"bid": price_text(of[0]), "ask": price_text(of[2])}
    return prices | {"bid_size": count_text(of[1]), "ask_size": count_text(of[3])}
