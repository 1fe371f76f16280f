"""How long to wait before trying again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

FIRST = 1.0
MOST = 30.0


def waits(random: Callable[[], float], first: float = FIRST, most: float = MOST) -> Iterator[float]:
    """Seconds to wait before each further try, without end: doubling from `first` up to `most`, with jitter.

    `random` gives numbers in [0, 1); each wait lies between half and all of its bound, so that many clients that lost
    the same server do not come back at one instant. After success begin a new one.
    """
    bound = min(first, most)
    while True:
        yield bound * (1 + random()) / 2
        bound = min(bound * 2, most)
