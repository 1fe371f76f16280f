"""The holes of a session for the plain model: which are open, for whom, and what ends each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from plain_wire import Row

BOOK = "orderbook_delta"
TERMINAL = {10: "channel_error", 25: "overflow"}


class Holes:
    """Each event is told as a row of `gaps`; `opened` and `healed` count holes, not rows."""

    def __init__(self, tell: Callable[[Row], None]) -> None:
        self.opened = self.healed = 0
        self._tell = tell
        self._open: list[dict[str, Any]] = []

    def open(
        self,
        here: Row,
        cause: str,
        channel: str | None,
        markets: Iterable[str],
        expected: int | None = None,
        got: int | None = None,
    ) -> None:
        """A hole that this record shows. One in a book, or in all channels, waits for a snapshot of each market.

        One in another channel waits for that channel to be subscribed to again if it died, else for nothing.
        """
        hole = {"gap_frame": here["frame"], "cause": cause, "channel": channel, "opened_at": here["ts_recv"]}
        hole |= {"expected": expected, "got": got}
        waiting = set(markets)
        self.opened += 1
        self._tell({"event": "opened", "markets": sorted(waiting), "healed_at": None, **hole})
        self._open.append({"told": hole, "waiting": waiting})
        if channel not in (BOOK, None) and cause not in TERMINAL.values():
            self._heal(self._open[-1], sorted(waiting), here["ts_recv"])
        elif channel in (BOOK, None) and not waiting:
            self._open.pop()

    def waiting_for(self, market: str) -> bool:
        """Whether a snapshot of this market is missing already."""
        return any(market in hole["waiting"] for hole in self._open if hole["told"]["channel"] in (BOOK, None))

    def snapshot(self, market: str, ts_recv: int) -> None:
        """A snapshot of this market came."""
        for hole in list(self._open):
            if market in hole["waiting"] and hole["told"]["channel"] in (BOOK, None):
                hole["waiting"].remove(market)
                self._heal(hole, [market], ts_recv, over=not hole["waiting"])

    def subscribed(self, channel: str, ts_recv: int) -> None:
        """This channel flows again."""
        for hole in list(self._open):
            if hole["told"]["channel"] == channel != BOOK:
                self._heal(hole, sorted(hole["waiting"]), ts_recv)

    def _heal(self, hole: dict[str, Any], markets: list[str], ts_recv: int, *, over: bool = True) -> None:
        self._tell({"event": "healed", "markets": markets, "healed_at": ts_recv, **hole["told"]})
        if over:
            self.healed += 1
            self._open = [other for other in self._open if other is not hole]
