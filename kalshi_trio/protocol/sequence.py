"""Sequence numbers: one run for each sid of each connection, over all its markets and over its `ok` replies too.

A checker that looks at books alone, or a market at a time, reports false gaps by the thousand (seen elsewhere).
"""

from __future__ import annotations

from kalshi_trio.protocol.books import Books
from kalshi_trio.protocol.gaps import BOOK_CHANNEL, Gaps
from kalshi_trio.protocol.messages import Frame, SnapshotFrame, Unknown
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.state import LOST, State, Subscription

OWN_IDS = 1_000_001
"""Our commands have ids from here on, so that replies inside a played recording are not taken for ours."""

CHANNELS = {
    **dict.fromkeys(("orderbook_snapshot", "orderbook_delta"), BOOK_CHANNEL),
    **{name: name for name in ("trade", "ticker", "market_lifecycle_v2")},
    **dict.fromkeys(("event_lifecycle", "event_fee_update"), "market_lifecycle_v2"),
}
"""Type of message → its channel; replies and unknown messages do not tell."""


class Sequences:
    """Judges the frames that are not simply the next of their sid."""

    def __init__(self, state: State, out: Output, gaps: Gaps, books: Books) -> None:
        self._state = state
        self._out = out
        self._gaps = gaps
        self._books = books

    def judge(self, subs: dict[int, Subscription], sub: Subscription | None, frame: Frame | Unknown) -> Subscription:
        """Opens the gap that this frame shows, if any; says in `out.stale` whether its number came before.

        The answer to our own get_snapshot is never stale and shows no gap: no capture has told whether its number
        continues the run, so the run goes on as if it had none, unless it is simply the next.
        """
        if sub is None:
            sub = subs[frame.sid] = Subscription(self._out.connection, frame.sid)
        if not sub.channel:
            name = frame.type if isinstance(frame, Unknown) else str(frame.__struct_config__.tag)
            sub.channel = CHANNELS.get(name, "")
        expected, got = sub.seq + 1, frame.seq
        if not got or not frame.sid:
            return sub
        if got == expected or sub.seq == LOST:
            sub.seq = got
        elif not (isinstance(frame, SnapshotFrame) and frame.id >= OWN_IDS):
            self._out.stale = got < expected
            sub.seq = max(sub.seq, got)
            self._gap(sub, expected, got)
            if self._out.stale:
                sub.heard_ns = self._out.ts_recv
        return sub

    def _gap(self, sub: Subscription, expected: int, got: int) -> None:
        cause = "joined_late" if expected == 1 else "sequence"
        said = "Joined late" if expected == 1 else "Sequence gap"
        self._out.warn(f"{said} on {sub.channel or 'a channel'} (sid={sub.sid}): expected {expected}, got {got}")
        if sub.channel in (BOOK_CHANNEL, ""):
            self._books.lose_all(sub, cause, sub.channel or None, (expected, got))
        else:
            known = self._gaps.known(sub)
            self._gaps.open(cause, sub.channel, self._state.wanted, known, (expected, got), sub.sid)
