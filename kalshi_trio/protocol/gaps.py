"""Known holes: what the exchange did not deliver, from when to when, for which markets.

A hole in a book channel is healed market by market, by the snapshot that does it. A channel without snapshots cannot be
healed: its hole opens and closes in the frame that shows it, or, where a subscription died, with the next one.
"""

from __future__ import annotations

from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.state import Gap, State

BOOK_CHANNEL = "orderbook_delta"


class Gaps:
    """Opens and heals the holes of a session; each event is a row."""

    def __init__(self, state: State, out: Output) -> None:
        self._state = state
        self._out = out

    def open(self, cause: str, channel: str | None, markets: list[str], expected: int = NULL, got: int = NULL) -> None:
        """A hole begins with the record under way. Without a market to heal it, a book's hole stays open."""
        out, state = self._out, self._state
        state.gaps_opened += 1
        concerned = tuple(sorted(markets))
        out.gap("opened", out.frame, cause, channel, expected, got, concerned, out.ts_recv)
        if channel in (BOOK_CHANNEL, None) or cause in ("overflow", "channel_error"):
            state.gaps.append(
                Gap(out.frame, cause, out.ts_recv, list(concerned), out.connection, channel, expected, got)
            )
        else:
            state.gaps_healed += 1
            out.gap("healed", out.frame, cause, channel, expected, got, concerned, out.ts_recv, out.ts_recv)

    def heal(self, market: str) -> None:
        """A snapshot of `market` came."""
        if not self._state.gaps:
            return
        for gap in self._state.gaps:
            if market in gap.markets and gap.channel in (BOOK_CHANNEL, None):
                gap.markets.remove(market)
                self._healed(gap, (market,))
                if not gap.markets:
                    self._state.gaps_healed += 1
        self._state.gaps = [gap for gap in self._state.gaps if gap.markets or gap.channel not in (BOOK_CHANNEL, None)]

    def resubscribed(self, channel: str) -> None:
        """A channel without snapshots flows again."""
        if channel == BOOK_CHANNEL:
            return
        for gap in [gap for gap in self._state.gaps if gap.channel == channel]:
            self._healed(gap, tuple(gap.markets))
            self._state.gaps_healed += 1
            self._state.gaps.remove(gap)

    def _healed(self, gap: Gap, markets: tuple[str, ...]) -> None:
        out = self._out
        out.gap(
            *("healed", gap.frame, gap.cause, gap.channel, gap.expected, gap.got),
            *(markets, gap.opened_at, out.ts_recv),
        )
