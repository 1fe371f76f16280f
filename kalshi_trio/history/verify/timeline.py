"""A market's coverage as a line of text: how much of each stretch its book was whole and in sequence."""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_trio.protocol.coverage import WHOLE
from kalshi_trio.sealing import ns_of

_CELLS = ((0.9995, "█"), (0.5, "▓"), (1e-9, "░"), (-1.0, "·"))


def whole_spans(spans: Sequence[tuple[str, ...]]) -> list[tuple[str, str]]:
    """From when to when the book was whole."""
    return [(span[0], span[1]) for span in spans if span[2] == WHOLE]


def shares(spans: Sequence[tuple[str, str]], start: int, end: int, cells: int) -> list[float]:
    """The part of each of `cells` equal stretches of start..end that the spans cover."""
    width = max(end - start, 1) / cells
    found = [0.0] * cells
    for first, last in spans:
        lo, hi = (ns_of(first) - start) / width, (ns_of(last) - start) / width
        for cell in range(max(int(lo), 0), min(int(hi), cells - 1) + 1):
            found[cell] += max(min(hi, cell + 1) - max(lo, cell), 0.0)
    return found


def timeline(spans: Sequence[tuple[str, str]], start: int, end: int, cells: int) -> str:
    """A letter a stretch: █ all of it, ▓ more than half, ░ some, · nothing."""
    return "".join(
        next(letter for least, letter in _CELLS if share >= least) for share in shares(spans, start, end, cells)
    )
