"""An exchange that answers the subscriptions' commands, without clock or socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kalshi_trio.protocol.links import Command, HangUp
from kalshi_trio.protocol.signals import BooksLost, BookWhole, Replied
from kalshi_trio.protocol.subscriptions import Subscriptions

SIDS = {"orderbook_delta": 1, "trade": 2, "ticker": 3, "market_lifecycle_v2": 4}


class Exchange:
    """Answers commands as told, one virtual second at a time, and keeps what was asked."""

    def __init__(self, *markets: str, chunk: int = 200) -> None:
        self.subscriptions = Subscriptions(markets, chunk=chunk)
        self.now = 100.0
        self.asked: list[tuple[float, dict[str, Any]]] = []
        self.hang_ups: list[str] = []
        self.came: set[str] = set()
        self.silent: set[str] = set()
        """Markets of which no snapshot comes."""
        self.answer: Callable[[dict[str, Any]], int | None] = lambda _: 0
        """An error's code, 0 for yes, None for no reply."""
        self.subscriptions.up(1)

    def params(self, action: str) -> list[tuple[float, dict[str, Any]]]:
        return [(at, c["params"]) for at, c in self.asked if action in (c["cmd"], c["params"].get("action"))]

    def run(self, seconds: float) -> None:
        """Plays until that much later; wakes the machine only when it wants to be woken."""
        end = self.now + seconds
        while True:
            self._all_orders()
            self.now = max(self.now, self.subscriptions.wake_at())
            if self.now > end:
                self.now = end
                return

    def _all_orders(self) -> None:
        while (order := self.subscriptions.next(self.now)) is not None:
            if isinstance(order, HangUp):
                self.hang_ups.append(order.reason)
                return
            self._reply(order)

    def _reply(self, order: Command) -> None:
        command = json.loads(order.text)
        assert command["id"] == order.id
        self.asked.append((self.now, command))
        code = self.answer(command)
        params = command["params"]
        markets = params.get("market_tickers", [])
        if code is None:
            return
        if code:
            self.replied(order.id, "error", code=code)
            return
        if params.get("action") != "get_snapshot":
            channel = params["channels"][0] if "channels" in params else "orderbook_delta"
            sid = params["sids"][0] if "sids" in params else SIDS[channel]
            self.replied(order.id, "ok" if "action" in params else "subscribed", sid, channel)
        if "orderbook_delta" in params.get("channels", []) or params.get("sids") == [1]:
            for market in markets:
                if market not in self.silent:
                    self.whole(market)

    def replied(self, number: int, kind: str, sid: int = 0, channel: str = "", code: int = 0) -> None:
        said = Replied(self.subscriptions.connection, number, kind, sid, channel, code, "said", ())
        self.subscriptions.heard(said, self.now)

    def whole(self, market: str) -> None:
        self.came.add(market)
        self.subscriptions.heard(BookWhole(self.subscriptions.connection, 1, market), self.now)

    def lost(self, *markets: str, connection: int = 1) -> None:
        self.subscriptions.heard(BooksLost(connection, 1, markets, "sequence"), self.now)

    def texts(self) -> list[str]:
        return [notice.text for notice in self.subscriptions.told()]
