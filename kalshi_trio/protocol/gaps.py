"""Known holes: what the exchange did not deliver, from when to when, for which markets.

A hole in a book channel, or in a whole connection, is healed market by market, by the snapshot that does it; a market
that gets no snapshot any more keeps it open. A channel without snapshots cannot be healed: its hole opens and closes in
the frame that shows it, or, where the subscription died, with the next one.
"""

from __future__ import annotations

from collections.abc import Iterable

from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.state import Gap, State

BOOK_CHANNEL = "orderbook_delta"
OPEN_LIMIT = 1000
"""So many holes may be open at once: each waits for a row a market. Beyond them one is only told to have opened."""
TERMINAL = {10: "channel_error", 25: "overflow"}
"""Errors after which a subscription is dead → the cause of the hole."""


class Gaps:
    """Opens and heals the holes of a session; each event is a row."""

    def __init__(self, state: State, out: Output) -> None:
        self._state = state
        self._out = out

    def open(
        self, cause: str, channel: str | None, markets: Iterable[str], numbers: tuple[int, int] = (NULL, NULL)
    ) -> None:
        """A hole begins with the record under way; `numbers`: sequence number expected and got, where that shows it."""
        out, state = self._out, self._state
        gap = Gap(out.frame, cause, out.ts_recv, dict.fromkeys(sorted(markets)), channel, *numbers)
        state.gaps_opened += 1
        out.gap("opened", gap, tuple(gap.markets))
        if not _by_snapshots(gap) and cause not in TERMINAL.values():
            self._healed(gap)
        elif len(state.gaps) < OPEN_LIMIT and (gap.markets or not _by_snapshots(gap)):
            state.gaps.append(gap)

    def heal(self, market: str) -> None:
        """A snapshot of `market` came."""
        for gap in [gap for gap in self._state.gaps if market in gap.markets and _by_snapshots(gap)]:
            del gap.markets[market]
            self._out.gap("healed", gap, (market,), self._out.ts_recv)
            if not gap.markets:
                self._state.gaps.remove(gap)
                self._state.gaps_healed += 1

    def resubscribed(self, channel: str) -> None:
        """A channel without snapshots flows again."""
        for gap in [gap for gap in self._state.gaps if gap.channel == channel and not _by_snapshots(gap)]:
            self._state.gaps.remove(gap)
            self._healed(gap)

    def _healed(self, gap: Gap) -> None:
        self._state.gaps_healed += 1
        self._out.gap("healed", gap, tuple(gap.markets), self._out.ts_recv)


def _by_snapshots(gap: Gap) -> bool:
    return gap.channel in (BOOK_CHANNEL, None)
