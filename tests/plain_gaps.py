"""The gaps of a session for the plain model: which are open, for whom, and what ends each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from plain_wire import Row

BOOK = "orderbook_delta"
TERMINAL = {10: "channel_error", 25: "overflow"}
ENOUGH = 20
"""A market that waits in so many gaps is put into no other."""


class Gaps:
    """Each event is told as a row; `opened` and `healed` count gaps, not rows, `again` those that were open already.

    `lose(market, since, cause)` is called for each market that has no book from now on because of a gap.
    """

    def __init__(self, tell: Callable[[Row], None], lose: Callable[[str, int, str], None]) -> None:
        self.opened = self.healed = self.again = 0
        self._tell, self._lose = tell, lose
        self._open: list[dict[str, Any]] = []

    def open(self, here: Row, cause: str, channel: str | None, markets: Iterable[str], since: int, **more: Any) -> None:
        """A gap that this record shows; `more`: `sid` if it is one's, `expected` and `got` if numbers show it.

        One in books, or in all channels, waits for each market's snapshot; one in another channel waits for that channel
        if it died, else for nothing. What waits already, for the same cause and in the same sid, is no new gap.
        """
        of_books, sid = channel in (BOOK, None), more.get("sid", 0)
        waits = of_books or cause in TERMINAL.values()
        alike = [gap for gap in self._open if gap["of"] == (cause, channel, sid) and waits and cause != "crash"]
        waiting = {market for market in markets if not any(market in gap["waiting"] for gap in alike)}
        waiting -= {market for market in waiting if sum(market in gap["waiting"] for gap in self._open) >= ENOUGH}
        if alike and not waiting:
            self.again += 1
            return
        since = min(since, here["ts_recv"])
        told = {"gap_frame": here["frame"], "cause": cause, "channel": channel, "opened_at": since}
        told |= {"expected": more.get("expected"), "got": more.get("got")}
        gap = {"told": told, "waiting": waiting, "of": (cause, channel, sid)}
        self.opened += 1
        self._tell({"event": "opened", "markets": sorted(waiting), "healed_at": None, **told})
        self._open.append(gap)
        a_connection_is_over = channel is None and not sid and cause not in ("unreadable", "damage")
        if not waits or not (waiting or a_connection_is_over):
            self._heal(gap, sorted(waiting), here["ts_recv"])
        for market in sorted(waiting) if of_books else ():
            self._lose(market, since, cause)

    def market(self, market: str, ts_recv: int) -> None:
        """A snapshot of this market came, or it closed."""
        for gap in list(self._open):
            if market in gap["waiting"] and gap["told"]["channel"] in (BOOK, None):
                gap["waiting"].remove(market)
                self._heal(gap, [market], ts_recv, over=not gap["waiting"])

    def connected(self, ts_recv: int) -> None:
        """There is a connection again: what waits for no market waits for that."""
        for gap in list(self._open):
            if gap["told"]["channel"] is None and not gap["waiting"]:
                self._heal(gap, [], ts_recv)

    def subscribed(self, channel: str, ts_recv: int) -> None:
        """This channel flows again."""
        for gap in list(self._open):
            if gap["told"]["channel"] == channel != BOOK:
                self._heal(gap, sorted(gap["waiting"]), ts_recv)

    def _heal(self, gap: dict[str, Any], markets: list[str], ts_recv: int, *, over: bool = True) -> None:
        self._tell({"event": "healed", "markets": markets, "healed_at": ts_recv, **gap["told"]})
        if over:
            self.healed += 1
            self._open = [other for other in self._open if other is not gap]
