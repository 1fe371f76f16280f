"""Coverage for the plain model: what each market's book was at any time, told by marks and painted moment by moment."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

WORST_FIRST = ("gap", "closed", "whole")


class Cover:
    """Of one market: each mark says what it is from then on; "" is nothing."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, str, str]] = []

    @property
    def now(self) -> str:
        """What it is."""
        return self._marks[-1][1] if self._marks else ""

    def mark(self, what: str, at: int, cause: str = "") -> None:
        """It is that from `at` on, unless it is it already."""
        if what != self.now:
            self._marks.append((at, what, cause))

    def spans(self, start: int, end: int) -> list[tuple[int, int, str, str]]:
        """All of it between these times; what two marks claim at once is the worse of both, or the first."""
        strokes: list[tuple[int, int, str, str]] = []
        for number, (at, what, cause) in enumerate(self._marks):
            until = self._marks[number + 1][0] if number + 1 < len(self._marks) else end
            if what and at < until:
                strokes.append((at, until, what, cause))
        times = {start, end, *(time for stroke in strokes for time in stroke[:2])}
        edges = sorted(time for time in times if start <= time <= end)
        found: list[list[Any]] = []
        for since, until in pairwise(edges):
            here = [stroke for stroke in strokes if stroke[0] <= since and stroke[1] >= until]
            if not here:
                continue
            stroke = min(here, key=lambda stroke: WORST_FIRST.index(stroke[2]))
            if found and found[-1][1] == since and found[-1][2:] == [*stroke[2:]]:
                found[-1][1] = until
            else:
                found.append([since, until, *stroke[2:]])
        return [(one[0], one[1], one[2], one[3]) for one in found]
