"""Two tellings held against each other, instant by instant of the exchange, in memory that does not grow with them.

Both are read in step by the exchange's clock; an instant is settled once both are a minute past it. Numbering, connections
and received times do not count. Only what both could have heard is compared: markets that both recorded, from the later of
their first times to the earlier of their last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kalshi_trio.history.diff.found import (
    MOST,
    Difference,
    GapFound,
    MarketFound,
    Run,
    SessionFound,
    Stretch,
    Tally,
)
from kalshi_trio.history.diff.telling import Change, Instant, Key, Telling
from kalshi_trio.protocol.coverage import WHOLE
from kalshi_trio.protocol.gaps import BOOK_CHANNEL
from kalshi_trio.sealing import ns_of, time_text

SLACK_US = 60_000_000
"""Connections of one session may lie so far apart in the exchange's time."""
SETTLE = 2_000
"""Instants that wait before it is worth to settle some."""
_NEVER = 2**62
_SEEN_NS = 1_000_000_000
"""A frame may be received so much later than the quickest one."""


@dataclass
class _Open:
    """A run of changes that is not over."""

    changes: int
    first_us: int
    last_us: int


class Comparison:
    """Blocking: `steps` reads everything, then `found` has it all."""

    def __init__(self, a: Telling, b: Telling) -> None:
        self._sides = (a, b)
        common = _markets(a) & _markets(b)
        self.found = Difference(_about(a, common), _about(b, common))
        for market in sorted(common):
            percents = {name: _percent(side, market) for name, side in zip("ab", self._sides, strict=True)}
            self.found.markets[market] = MarketFound(valid_percent=percents)
        self._runs: dict[tuple[int, str], _Open] = {}
        self._different: dict[str, _Open] = {}
        self._states = [_State(side) for side in self._sides]

    def steps(self) -> Iterator[int]:
        """Records read of both sessions, again and again."""
        a, b = self._sides
        for side in self._sides:
            while not (side.first_us or side.over):
                side.read()
        while not (a.over and b.over):
            behind = a if b.over or (not a.over and a.clock_us <= b.clock_us) else b
            behind.read()
            if len(a.instants) + len(b.instants) > SETTLE:
                self._settle(min(_NEVER if side.over else side.clock_us for side in self._sides) - SLACK_US)
            yield a.frame + b.frame
        self._settle(_NEVER)
        self._end()

    def _settle(self, horizon: int) -> None:
        a, b = self._sides
        due = sorted((us, market) for market, us in {*a.instants, *b.instants} if us <= horizon)
        for us, market in due:
            key: Key = (market, us)
            self._instant(market, us, a.instants.pop(key, None), b.instants.pop(key, None))
        for trade_id in [*a.trades, *(one for one in b.trades if one not in a.trades)]:
            mine, other = a.trades.get(trade_id), b.trades.get(trade_id)
            known = mine or other
            if known is not None and known.us <= horizon and (known.us or horizon == _NEVER):
                self._trade(known.market, known.us, mine is not None, other is not None)
                a.trades.pop(trade_id, None)
                b.trades.pop(trade_id, None)

    def _span(self) -> tuple[int, int]:
        """The time that both recorded, as far as it is known."""
        first = max(side.first_us or _NEVER for side in self._sides)
        return first, min(side.clock_us if side.over else _NEVER for side in self._sides)

    def _instant(self, market: str, us: int, a: Instant | None, b: Instant | None) -> None:
        found = self.found.markets.get(market)
        if found is None:
            return
        one, other = (side.told() if side else Counter[Change]() for side in (a, b))
        first, last = self._span()
        if not first <= us <= last:
            found.outside_a += one.total()
            found.outside_b += other.total()
            return
        _count(found.deltas, one, other)
        for by, lacking in enumerate(((other - one).total(), (one - other).total())):
            self._run(by, market, us, lacking)
        if a is not None and b is not None and a.valid and b.valid:
            self._books(market, us, same=a.book == b.book)

    def _run(self, by: int, market: str, us: int, lacking: int) -> None:
        run = self._runs.get((by, market))
        if lacking and run is None:
            self._runs[by, market] = _Open(lacking, us, us)
        elif lacking and run is not None:
            run.changes += lacking
            run.last_us = us
        elif run is not None:
            self._end_run(by, market, us)

    def _end_run(self, by: int, market: str, next_us: int = _NEVER) -> None:
        run, found = self._runs.pop((by, market)), self.found.markets[market]
        if len(found.runs) >= MOST:
            found.more_runs += 1
            return
        cause = self._states[by].cause(market, run.first_us, run.last_us, next_us)
        whole = self._states[1 - by].whole(market, run.first_us, run.last_us)
        found.runs.append(Run("ab"[by], run.changes, _text(run.first_us), _text(run.last_us), cause, whole))

    def _books(self, market: str, us: int, *, same: bool) -> None:
        books, stretch = self.found.markets[market].books, self._different.get(market)
        books.compared += 1
        books.different += not same
        if same and stretch is not None:
            self._end_stretch(market)
        elif not same and stretch is None:
            self._different[market] = _Open(1, us, us)
        elif not same and stretch is not None:
            stretch.changes += 1
            stretch.last_us = us

    def _end_stretch(self, market: str) -> None:
        one, books = self._different.pop(market), self.found.markets[market].books
        if len(books.stretches) < MOST:
            books.stretches.append(Stretch(one.changes, _text(one.first_us), _text(one.last_us)))

    def _trade(self, market: str, us: int, a: bool, b: bool) -> None:  # noqa: FBT001 -- one a session
        found = self.found.markets.get(market)
        first, last = self._span()
        # Trades bear milliseconds, and what was cut off may lie before the first instant.
        if found is not None and (not us or first - 1_000 <= us <= last):
            _count(found.trades, Counter({0: int(a)}), Counter({0: int(b)}))

    def _end(self) -> None:
        for by, market in list(self._runs):
            self._end_run(by, market)
        for market in list(self._different):
            self._end_stretch(market)
        for market, found in self.found.markets.items():
            one, other = (_most(side, market) for side in self._sides)
            _count(found.deltas, one, other)
        first, last = self._span()
        if first <= last:
            self.found.start, self.found.end = _text(first), _text(last)
        for side, about in zip(self._sides, (self.found.a, self.found.b), strict=True):
            holes = list(side.holes.values())
            about.gaps = [
                GapFound(hole.cause, hole.channel, hole.markets, time_text(hole.opened_at), _healed(hole.healed_at))
                for hole in holes[:MOST]
            ]
            about.more_gaps = len(holes) - len(about.gaps)
        common = self.found.start is not None and bool(self.found.markets)
        self.found.same = common and all(one.same for one in self.found.markets.values())


class _State:
    """What a session says of its own books at some time of the exchange."""

    def __init__(self, side: Telling) -> None:
        self._side = side

    def whole(self, market: str, first_us: int, last_us: int) -> bool:
        """Whether one stretch of the manifest's coverage holds both."""
        coverage = self._side.manifest.coverage.get(market)
        first, last = self._received(first_us), self._received(last_us)
        spans = [(ns_of(span[0]), ns_of(span[1])) for span in (coverage.spans if coverage else ()) if span[2] == WHOLE]
        return any(start <= first and last <= end for start, end in spans)

    def cause(self, market: str, first_us: int, last_us: int, next_us: int) -> str:
        """Why it lacks what came between these times. A hole is seen with the next frame, at `next_us` at the latest."""
        for hole in self._side.holes.values():
            concerned = market in hole.markets and hole.channel in {None, BOOK_CHANNEL}
            healed_at = hole.healed.get(market, self._received(_NEVER))
            if (
                concerned
                and hole.opened_at <= self._received(next_us) + _SEEN_NS
                and healed_at >= self._received(first_us)
            ):
                return hole.cause
        return "" if self.whole(market, first_us, last_us) else "not whole"

    def _received(self, us: int) -> int:
        return us * 1_000 + self._side.lag_ns


def _count(tally: Tally, one: Counter[Any], other: Counter[Any]) -> None:
    tally.both += (one & other).total()
    tally.only_a += (one - other).total()
    tally.only_b += (other - one).total()


def _most(side: Telling, market: str) -> Counter[Change]:
    """The changes without a time, each as often as one connection brought it."""
    found = Counter[Change]()
    for counted in side.timeless.get(market, {}).values():
        found |= counted
    return found


def _markets(side: Telling) -> set[str]:
    return {*side.manifest.markets, *side.manifest.coverage}


def _percent(side: Telling, market: str) -> float:
    coverage = side.manifest.coverage.get(market)
    return round(coverage.whole_percent or 0.0, 3) if coverage else 0.0


def _about(side: Telling, common: set[str]) -> SessionFound:
    about = side.manifest
    only = sorted(_markets(side) - common)
    return SessionFound(about.session, about.name, about.source, about.verdict, about.started, about.ended, only)


def _text(us: int) -> str:
    return time_text(us * 1_000)


def _healed(ns: int) -> str | None:
    return time_text(ns) if ns else None
