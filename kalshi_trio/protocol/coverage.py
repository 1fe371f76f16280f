"""Coverage: what a market's book was, from when to when. It is whole, or there is a gap, or the market is closed.

It begins with the market's first snapshot, or with the first gap that concerns it, and ends with the connection that we
ended ourselves. What came before a gap was noticed is not taken back in rows, but the whole span ends where the gap's
begins, at the last moment that was known to be good.
"""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import NamedTuple

from kalshi_trio.protocol.state import Market, State

WHOLE, GAP, CLOSED = "whole", "gap", "closed"
_WORSE = (GAP, CLOSED, WHOLE)


class Span(NamedTuple):
    """Nanoseconds since 1970; `cause` of a gap, else empty."""

    start: int
    end: int
    what: str
    cause: str


def turn(market: Market, what: str, at: int, cause: str = "") -> None:
    """From `at` on, which may lie behind us, its coverage is `what`; empty: nothing is said of it any more."""
    if market.cover:
        market.spans.append((market.since, max(at, market.since), market.cover, market.cause))
    market.cover, market.since, market.cause = what, at, cause


def covered(state: State, ticker: str) -> list[Span]:
    """A market's spans in the order of time, none empty, none beyond the session.

    Where two spans claim the same time (a clock was set back, a gap began where nobody had known), the worse counts.
    """
    market = state.markets.get(ticker)
    if market is None:
        return []
    told = list(market.spans)
    if market.cover:
        told.append((market.since, state.last_ns, market.cover, market.cause))
    lo, hi = state.started_ns, max(state.started_ns, state.last_ns)
    inside = sorted(
        (max(start, lo), number, min(end, hi), what, cause)
        for number, (start, end, what, cause) in enumerate(told)
        if start < hi
    )
    times = sorted({time for span in inside for time in (span[0], span[2])})
    found, open_ = list[Span](), list[tuple[int, int, int, str]]()
    at = 0
    for start, end in pairwise(times):
        while at < len(inside) and inside[at][0] <= start:
            _, number, until, what, cause = inside[at]
            heapq.heappush(open_, (_WORSE.index(what), number, until, cause))
            at += 1
        while open_ and open_[0][2] <= start:
            heapq.heappop(open_)
        if not open_:
            continue
        worst, _, _, cause = open_[0]
        if found and found[-1].end == start and found[-1][2:] == (_WORSE[worst], cause):
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Span(start, end, _WORSE[worst], cause))
    return found


def missing(state: State) -> list[str]:
    """Wanted markets that never had a book."""
    known = state.markets
    return [ticker for ticker in state.wanted if ticker not in known or not known[ticker].valid_since]
