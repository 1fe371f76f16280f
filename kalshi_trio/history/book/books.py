"""Any market's book at any record of a session, exact: the builder, from the nearest checkpoint up to that record."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NamedTuple

from kalshi_trio.errors import UsageError
from kalshi_trio.fold import feed
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.batches import Damage
from kalshi_trio.journal.reading import newest_frame, read_around, read_session
from kalshi_trio.protocol.book import ONE_DOLLAR_E4
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.coverage import WHOLE
from kalshi_trio.protocol.gaps import BOOK_CHANNEL
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.state import Gap, Market, State

_BACK = 1_000
"""Records looked at from the end on for the last data frame, at first."""

Levels = list[tuple[int, int]]
"""Prices in 1/10,000 dollar with sizes in 1/100 contract, the best first."""


class Hole(NamedTuple):
    """Why a book is not to be trusted: opened by record `frame` (0: no record shows it).

    `expected`, `got`: sequence numbers, None where they were not what showed it.
    """

    cause: str
    frame: int
    opened_ns: int
    expected: int | None = None
    got: int | None = None


class BookAt(NamedTuple):
    """One market's book as it stood behind record `frame`, received at `ts_recv`.

    `valid`: the book was whole and in sequence then, since `since_ns`. Else `bids` and `asks` are what was last known of
    it, `since_ns` is when it ceased to be valid (0: it never was), `hole` says why if that is a known hole, and `why` in
    words. `last_frame`, `last_ts_recv`: the last record that the book is made of, 0 if none.
    Prices are YES dollars: an ask is a NO bid seen from the other side.
    """

    session: str
    market: str
    frame: int
    ts_recv: int
    bids: Levels
    asks: Levels
    valid: bool
    since_ns: int
    last_frame: int
    last_ts_recv: int
    hole: Hole | None = None
    why: str = ""


class SessionBooks:
    """Blocking: the books of one session, which may be recorded at the same time; nothing is locked or written.

    Question by question it goes on from where it is, if no checkpoint is nearer: rising records are cheap.
    """

    def __init__(self, folder: Path) -> None:
        about = manifests.read(folder)
        self.folder = folder
        self.session = about.session if about else ""
        self.last = newest_frame(folder)
        """The last record there was when this was made."""
        self._named = {*about.markets, *about.coverage} if about else set()
        self._builder = Builder(self.session)

    def at(self, market: str, frame: int) -> BookAt:
        """The market's book behind record `frame`; 0 is before the first.

        Raises UsageError where the session does not know the market, or has no such record.
        """
        if not 0 <= frame <= self.last:
            raise UsageError(f"#{frame}: the session ends with record #{self.last}.")
        state = self.state(frame)
        if market not in state.markets:
            self._check(market, state)
            state = self.state(frame)
        return _book(state, state.markets.get(market) or Market(market), self.session)

    @property
    def builder(self) -> Builder:
        """Where the last question left it; who feeds it on must ask nothing more here."""
        return self._builder

    def state(self, frame: int) -> State:
        """All that is known behind record `frame`; it is used on, so look at it before the next question."""
        near = checkpoints.nearest(self.folder, frame)
        if not (near.first - 1 if near else 0) <= self._builder.state.frame <= frame:
            self._builder = Builder(self.session, near.blob if near else None)
        builder = self._builder
        for found in read_around(self.folder, builder.state.frame, frame) if builder.state.frame < frame else ():
            feed(builder, found)
            builder.take()
            builder.told()
        return builder.state

    def last_data(self) -> int:
        """The last data frame, 0 without one: what comes behind it, the end of the connection, drops all books."""
        back = _BACK
        while True:
            found = [
                run.last
                for frames in read_session(self.folder, max(self.last - back, 0), self.last, _passed_over)
                for run in frames.records
                if run.kind == "frame"
            ]
            if found or back >= self.last:
                return max(found, default=0)
            back *= 8

    def _check(self, market: str, state: State) -> None:
        """The session may come to know it later."""
        known = self._named | {*state.wanted, *state.markets}
        if market not in known:
            known |= self.state(self.last).markets.keys()
        if market not in known:
            near = ", ".join(difflib.get_close_matches(market.upper(), known, 5, 0.5))
            some = f"near: {near}" if near else f"it knows {len(known)}: {', '.join(sorted(known)[:5])}"
            raise UsageError(f"{self.folder.name} knows no market {market!r}; {some}.")


def book_at(folder: Path, market: str, frame: int | None = None) -> BookAt:
    """The market's book behind record `frame`, or at the last data frame. Blocking. Raises UsageError as `at` does."""
    books = SessionBooks(folder)
    return books.at(market, books.last_data() if frame is None else frame)


def _book(state: State, market: Market, session: str) -> BookAt:
    book = market.book
    bids = sorted(book.yes.levels.items(), reverse=True)
    asks = sorted((ONE_DOLLAR_E4 - price, size) for price, size in book.no.levels.items())
    valid = market.valid and not state.holed
    lost_ns = next((end for _, end, what, _ in reversed(market.spans) if what == WHOLE), 0)
    hole = None if valid else _hole(state, market)
    return BookAt(
        *(session, market.ticker, state.frame, state.last_ns, bids, asks, valid),
        market.valid_since if valid else hole.opened_ns if hole and market.valid else lost_ns,
        *(market.last_frame, market.last_ts_recv, hole),
        "" if valid else _why(state, market, hole),
    )


def _hole(state: State, market: Market) -> Hole | None:
    """The first of the known gaps since the market's last snapshot, which healed all that were before it."""
    gaps = [gap for gap in state.gaps if market.ticker in gap.markets and gap.channel in (BOOK_CHANNEL, None)]
    if gaps:
        return _told(min(gaps, key=lambda gap: gap.frame))
    return Hole("damage", 0, state.last_ns) if state.holed else None


def _told(gap: Gap) -> Hole:
    expected, got = (None if number == NULL else number for number in (gap.expected, gap.got))
    return Hole(gap.cause, gap.frame, gap.opened_at, expected, got)


def _why(state: State, market: Market, hole: Hole | None) -> str:
    if hole is not None:
        return hole.cause.replace("_", " ")
    if not state.frame:
        return "the session had not begun"
    if not market.snapshots:
        return "no snapshot had come yet"
    return "the session had ended" if state.ended else "its subscription had ended"


def _passed_over(_damage: Damage) -> None:
    """Whoever asks for the book of its records hears of it."""
