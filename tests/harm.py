"""Copies of recordings that come to harm by a seed: frames left out, repeated, swapped."""

from __future__ import annotations

import random
from typing import NamedTuple

import recordings
from recordings import Line

HOWS = ("left out", "repeated", "swapped")


class Harm(NamedTuple):
    """Which frames of which recording come to harm: of `kinds`, among its first `within` lines; it is read to `most`."""

    name: str
    kinds: tuple[str, ...]
    within: int
    most: int


HARMED = (
    Harm("mixed_2026-07-03.jsonl", ("orderbook_delta",), 3_000, 3_000),
    Harm("ufc_2026-03-07.ndjson.gz", ("trade",), 6_000, 6_000),
    Harm("ufc_2026-03-07.ndjson.gz", ("orderbook_delta", "trade"), 6_000, 6_000),
    Harm("btc15m_2026-05-13T1259.ndjson.gz", ("orderbook_delta",), 400, 3_000),
)
"""The second harms no book; in the last, a new connection brings new books after the harm."""


def damaged(harm: Harm, how: str, seed: int) -> list[Line]:
    """A copy in which a few frames are left out, repeated, or swapped with the next one of their kinds."""
    random_ = random.Random(seed)  # noqa: S311  test data
    copy = recordings.lines(harm.name, harm.most)
    marks = tuple(f'"type":"{kind}"'.encode() for kind in harm.kinds)
    fit = [any(mark in line.frame for mark in marks) for line in copy]
    places = [place for place in range(harm.within) if place + 1 < len(copy) and fit[place] and fit[place + 1]]
    for place in sorted(random_.sample(places, min(8, len(places))), reverse=True):
        if how == "left out":
            del copy[place]
        elif how == "repeated":
            copy.insert(place, copy[place])
        else:
            copy[place : place + 2] = copy[place + 1], copy[place]
    return copy
