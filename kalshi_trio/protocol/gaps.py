"""Gaps: what the exchange did not deliver, for which markets, from the last moment known to be good until it is healed.

`opened_at` is where knowledge ends, never later than the record that shows it:

    sequence, joined_late    the last frame of that sid, or its `subscribed`; the connection's opening if there was neither
    overflow, channel_error  the same: the subscription died, and what came before its end was lost with it
    reconnect, stall,        the last moment at which anything was heard on the connection (`heard_ns` of its end; where
    unwritable               that is not known, its last frame, else its opening)
    unreadable               the last frame before it, of its sid if it tells that, else of its connection
    impossible_book, audit   when the book was last proved: by its snapshot, or by an audit that agreed (numbers without a
                             gap do not tell when it went wrong)
    damage                   the last record before those that are lost
    crash                    the last durable record of the session that died
    no_book                  the opening of the connection (or the frame) since which a book was awaited for 10 s

A gap in a book channel, or in a whole connection, is healed market by market, by the snapshot that does it or by the
market's close; a market that gets neither keeps it open. Where no market is concerned it ends with the frame that shows
it, or, if the connection is over, with the next one's opening. So does a gap in a channel without snapshots, or, where
the subscription died, with the next one. Markets that nobody wanted have no gaps; closed ones get none.

A market that waits in a gap of the same cause, channel and sid already is not put into a second one: it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from kalshi_trio.protocol.coverage import CLOSED, GAP, turn
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.state import NEVER, Gap, Market, State, Subscription

BOOK_CHANNEL = "orderbook_delta"
TERMINAL = {10: "channel_error", 25: "overflow"}
"""Errors after which a subscription is dead → the cause of the gap."""
AWAITED_NS = 10_000_000_000
"""So long a wanted market's first snapshot may take."""
_OVER = frozenset(("unreadable", "damage"))
"""Causes of gaps in a connection that goes on."""
MOST_OPEN = 20
"""Gaps that one market waits in at once: causes times sids of one connection; more are only counted."""


class Gaps:
    """Opens and heals the gaps of a session; each event is a row."""

    def __init__(self, state: State, out: Output) -> None:
        self._state = state
        self._out = out
        self._wanted: tuple[list[str], frozenset[str]] = ([], frozenset())
        self.changes = 0
        """Grows with everything after which a gap may concern other markets than before."""

    def wants(self, ticker: str) -> bool:
        """Whether the session wanted this market; any market where the record that says so is lost."""
        state = self._state
        if self._wanted[0] is not state.wanted:
            self._wanted = (state.wanted, frozenset(state.wanted))
        return ticker in self._wanted[1] or not state.begun

    def known(self, sub: Subscription) -> int:
        """Until when all that came of this sid, or (0) of the whole connection, is known."""
        link = self._state.links.get(sub.connection)
        heard = sub.heard_ns if sub.sid or link is None else link.heard_ns
        return heard or (link.opened_ns if link else self._out.ts_recv)

    def open(
        self,
        cause: str,
        channel: str | None,
        markets: Iterable[str],
        at: int,
        numbers: tuple[int, int] = (NULL, NULL),
        sid: int = 0,
    ) -> None:
        """A gap begins at `at`; `numbers`: sequence number expected and got, where that shows it; `sid` 0: the connection's.

        Each crash is a gap of its own.
        """
        out, state = self._out, self._state
        by_snapshots = channel in (BOOK_CHANNEL, None)
        waits = by_snapshots or cause in TERMINAL.values()
        key = (cause, channel, sid) if waits and cause != "crash" else None
        same = [gap for gap in state.gaps if (gap.cause, gap.channel, gap.sid) == key]
        new = sorted(ticker for ticker in set(markets) if not self._waits(ticker, same))
        if same and not new:
            state.gaps_repeated += 1
            return
        gap = Gap(out.frame, cause, min(at, out.ts_recv), dict.fromkeys(new), channel, *numbers, sid)
        state.gaps_opened += 1
        self.changes += 1
        out.gap("opened", gap, tuple(gap.markets))
        lasts = channel is None and not sid and cause not in _OVER
        if waits and (new or lasts):
            state.gaps.append(gap)
        else:
            self._healed(gap)
        for ticker in new if by_snapshots else ():
            self._lose(ticker, gap)

    def _waits(self, ticker: str, same: list[Gap]) -> bool:
        if any(ticker in gap.markets for gap in same):
            return True
        gaps = self._state.gaps
        return len(gaps) >= MOST_OPEN and sum(ticker in gap.markets for gap in gaps) >= MOST_OPEN

    def _lose(self, ticker: str, gap: Gap) -> None:
        """A wanted market is in this gap, unless it was in another one before."""
        state = self._state
        state.awaited.pop(ticker, None)
        if not self.wants(ticker):
            return
        market = state.markets.get(ticker)
        if market is None:
            market = state.markets[ticker] = Market(ticker)
        market.closed = 0
        if market.cover != GAP:
            turn(market, GAP, gap.opened_at, gap.cause)

    def heal(self, ticker: str) -> None:
        """A snapshot of this market came, or it closed."""
        state = self._state
        self.changes += 1
        state.awaited.pop(ticker, None)
        for gap in [gap for gap in state.gaps if ticker in gap.markets and gap.channel in (BOOK_CHANNEL, None)]:
            del gap.markets[ticker]
            self._out.gap("healed", gap, (ticker,), self._out.ts_recv)
            if not gap.markets:
                state.gaps.remove(gap)
                state.gaps_healed += 1

    def close(self, market: Market, how: int) -> None:
        """The market is closed (`how`: see Market): a gap that it is in ends here."""
        self.heal(market.ticker)
        market.closed = max(market.closed, how)
        if market.cover != CLOSED:
            turn(market, CLOSED, self._out.ts_recv)

    def reconnected(self) -> None:
        """A connection is open: what was lost with one before, and concerns no market's book, is over."""
        for gap in [gap for gap in self._state.gaps if not gap.markets and gap.channel is None]:
            self._state.gaps.remove(gap)
            self._healed(gap)

    def resubscribed(self, channel: str) -> None:
        """A channel without snapshots flows again."""
        for gap in [gap for gap in self._state.gaps if gap.channel == channel != BOOK_CHANNEL]:
            self._state.gaps.remove(gap)
            self._healed(gap)

    def _healed(self, gap: Gap) -> None:
        self._state.gaps_healed += 1
        self._out.gap("healed", gap, tuple(gap.markets), self._out.ts_recv)

    def wait_for(self, ticker: str, since: int) -> None:
        """The first book of this wanted market is awaited from now on; it is in a gap since `since` if it does not come."""
        state = self._state
        if ticker not in state.awaited:
            state.awaited[ticker] = (since, self._out.mono_ns)
            state.judge_at = min(state.judge_at, self._out.mono_ns + AWAITED_NS)

    def judge(self, mono_ns: int) -> None:
        """Opens the gaps of those whose first book has been awaited for too long, by the monotonic clock's `mono_ns`."""
        state = self._state
        late: dict[int, list[str]] = {}
        for ticker, (since, asked) in state.awaited.items():
            if mono_ns - asked >= AWAITED_NS:
                late.setdefault(since, []).append(ticker)
        for since, tickers in late.items():
            self.open("no_book", BOOK_CHANNEL, tickers, since)
        for ticker in [ticker for tickers in late.values() for ticker in tickers]:
            state.awaited.pop(ticker, None)
        waits = [asked for _, asked in state.awaited.values()]
        state.judge_at = min(waits) + AWAITED_NS if waits else NEVER
