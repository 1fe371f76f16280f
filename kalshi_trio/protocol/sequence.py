"""Sequence numbers: one run for each sid of each connection, over all its markets and over its `ok` replies too.

A checker that looks at books alone, or a market at a time, reports false holes by the thousand (seen elsewhere).
"""

from __future__ import annotations

from kalshi_trio.protocol.books import Books
from kalshi_trio.protocol.gaps import BOOK_CHANNEL, Gaps
from kalshi_trio.protocol.messages import Frame, SnapshotFrame, Unknown
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.state import State, Subscription

OWN_IDS = 1_000_001
"""Our commands have ids from here on, so that replies inside a played recording are not taken for ours."""

_CHANNELS = {
    "orderbook_snapshot": BOOK_CHANNEL,
    "orderbook_delta": BOOK_CHANNEL,
    "trade": "trade",
    "ticker": "ticker",
    "market_lifecycle_v2": "market_lifecycle_v2",
    "event_lifecycle": "market_lifecycle_v2",
    "event_fee_update": "market_lifecycle_v2",
}


class Sequences:
    """Judges the frames that are not simply the next of their sid."""

    def __init__(self, state: State, out: Output, gaps: Gaps, books: Books) -> None:
        self._state = state
        self._out = out
        self._gaps = gaps
        self._books = books

    def judge(self, subs: dict[int, Subscription], sub: Subscription | None, frame: Frame | Unknown) -> Subscription:
        """Opens the hole that this frame shows, if any; says in `out.stale` whether the frame came before.

        The answer to our own get_snapshot is never stale: no capture has shown that its number continues the run.
        """
        own = isinstance(frame, SnapshotFrame) and frame.id >= OWN_IDS
        if sub is None:
            sub = Subscription(self._out.connection, frame.sid)
            if frame.sid:
                subs[frame.sid] = sub
        channel = _CHANNELS.get(frame.type if isinstance(frame, Unknown) else str(frame.__struct_config__.tag))
        if not sub.channel and channel:
            sub.channel = channel
        expected, got = sub.seq + 1, frame.seq
        if got == 0:
            return sub
        if got == expected:
            sub.seq = got
        elif own:
            sub.seq = max(sub.seq, got) if got > expected else sub.seq
        elif expected == 1:
            sub.seq = got
            self._hole(sub, "joined_late", expected, got)
        else:
            self._out.stale = got < expected
            sub.seq = max(sub.seq, got)
            self._out.warn(
                f"Sequence gap on {sub.channel or 'an unknown channel'} (sid={sub.sid}): expected {expected}, got {got}"
            )
            self._hole(sub, "sequence", expected, got)
        return sub

    def _hole(self, sub: Subscription, cause: str, expected: int, got: int) -> None:
        if sub.channel == BOOK_CHANNEL:
            markets = self._books.of(sub.connection, sub.sid)
            self._books.lose(markets, cause, sub.connection, sub.sid, expected, got)
        else:
            self._gaps.open(cause, sub.channel or None, list(self._state.wanted), expected, got)
