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
    **{name: name for name in ("trade", "ticker", "market_lifecycle_v2", "multivariate_market_lifecycle")},
    **dict.fromkeys(("event_lifecycle", "event_fee_update", "metadata_updated"), "market_lifecycle_v2"),
}
"""Type of message → its channel; replies and unknown messages do not tell."""
_ON_TWO = frozenset(("event_lifecycle", "metadata_updated"))
"""Types that come on multivariate_market_lifecycle too: they do not tell of which channel their sid is."""
_NUMBERED = frozenset((BOOK_CHANNEL, "orderbook_snapshot", "trade"))
"""Types of message that take a number, whether or not they say which."""


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
        continues the run, so the run goes on as if it had none, unless it is simply the next. Two frames that follow each
        other with numbers k and k + 1, lower than the last, are a run that began again: the second is its next. A frame
        that should have a number and has none takes the next one, or none: nobody can tell.
        """
        name = frame.type if isinstance(frame, Unknown) else str(frame.__struct_config__.tag)
        channel = "" if name in _ON_TWO else CHANNELS.get(name, "")
        if not frame.sid and channel:
            sub = self._only(subs, channel) or sub
        if sub is None:
            sub = subs[frame.sid] = Subscription(self._out.connection, frame.sid)
        sub.channel = sub.channel or channel
        expected, got = sub.seq + 1, frame.seq
        own = isinstance(frame, SnapshotFrame) and frame.id >= OWN_IDS
        if not got or not sub.sid:
            sub.loose += sub.seq > 0 and name in _NUMBERED and not own
        elif expected <= got <= expected + sub.loose or sub.seq == LOST:
            sub.seq, sub.loose = got, 0
        elif got == sub.back + 1 and sub.back and sub.back_at == sub.seq:
            sub.seq, sub.back, sub.loose = got, 0, 0
        elif not own:
            self._out.stale = got < expected
            sub.back, sub.back_at = (got, max(sub.seq, got)) if got < expected else (0, 0)
            sub.seq, sub.loose = max(sub.seq, got), 0
            self._gap(sub, expected, got)
            if self._out.stale:
                sub.heard_ns = self._out.ts_recv
        return sub

    @staticmethod
    def _only(subs: dict[int, Subscription], channel: str) -> Subscription | None:
        """The connection's subscription of this channel, for a frame that does not say its sid: there is one a channel."""
        found = [sub for sub in subs.values() if sub.sid and sub.channel == channel]
        return found[0] if len(found) == 1 else None

    def _gap(self, sub: Subscription, expected: int, got: int) -> None:
        cause = "joined_late" if expected == 1 else "sequence"
        said = "Joined late" if expected == 1 else "Sequence gap"
        where = f"{sub.channel or 'a channel'} (sid={sub.sid})"
        self._out.seldom(cause, f"{said} on {where}: expected {expected}, got {got}")
        if sub.channel in (BOOK_CHANNEL, ""):
            self._books.lose_all(sub, cause, sub.channel or None, (expected, got))
        else:
            known = self._gaps.known(sub)
            self._gaps.open(cause, sub.channel, self._state.wanted, known, (expected, got), sub.sid)
