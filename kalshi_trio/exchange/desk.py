"""One client's subscriptions at the exchange: sids, sequence numbers, replies. Pure: commands in, frames out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Protocol

from kalshi_trio.exchange import frames
from kalshi_trio.exchange.market import Change, Event, Execution, Market

CHANNELS = ("orderbook_delta", "trade", "ticker", "market_lifecycle_v2")


class Floor(Protocol):
    """Where the markets are."""

    markets: dict[str, Market]


class Subscription:
    """One sid."""

    def __init__(self, sid: int) -> None:
        self.sid = sid
        self.seq = 0
        self.markets: set[str] = set()

    def next(self) -> int:
        """The next sequence number: every frame of the sid takes one."""
        self.seq += 1
        return self.seq


class Desk:
    """A connection's side of the conversation; sids start at 1 on each connection."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._subs: dict[str, Subscription] = {}
        self._ids: dict[str, str] = {}
        self._trades = 0

    def command(self, text: str | bytes) -> list[bytes]:
        """The replies to one command, in the order in which the exchange sends them."""
        try:
            command = json.loads(text)
            number, params = int(command.get("id", 0)), command.get("params") or {}
            act = {
                "subscribe": self._subscribe,
                "unsubscribe": self._unsubscribe,
                "update_subscription": self._update,
                "list_subscriptions": self._list,
            }.get(command.get("cmd"))
        except (ValueError, AttributeError, TypeError):
            return [_error(0, 1, "Unable to process message")]
        return act(number, params) if act else [_error(number, 5, "Unknown command")]

    def _subscribe(self, number: int, params: dict[str, Any]) -> list[bytes]:
        channels = params.get("channels") or []
        listed = _tickers(params)
        if not channels:
            return [_error(number, 3, "Channels required")]
        replies: list[bytes] = []
        for channel in channels:
            if channel not in CHANNELS:
                replies.append(_error(number, 8, "Unknown channel name"))
            elif channel == "orderbook_delta" and not listed:
                replies.append(_error(number, 14, "Market ticker required"))
            elif channel in self._subs:
                replies += self._merge(number, channel, listed, quiet=bool(params.get("skip_ticker_ack")))
            else:
                sub = self._subs[channel] = Subscription(len(self._subs) + 1)
                sub.markets |= set(listed)
                replies.append(_json({"type": "subscribed", "id": number, "msg": {"channel": channel, "sid": sub.sid}}))
                replies += self._snapshots(sub, listed) if channel == "orderbook_delta" else []
        return replies

    def _merge(self, number: int, channel: str, listed: list[str], *, quiet: bool) -> list[bytes]:
        sub = self._subs[channel]
        new = [ticker for ticker in listed if ticker not in sub.markets]
        sub.markets |= set(new)
        return self._ok(number, sub, quiet=quiet) + (self._snapshots(sub, new) if channel == "orderbook_delta" else [])

    def _ok(self, number: int, sub: Subscription, *, quiet: bool) -> list[bytes]:
        reply: dict[str, Any] = {"type": "ok", "id": number, "sid": sub.sid, "seq": sub.next()}
        return [_json(reply if quiet else reply | {"msg": {"market_tickers": sorted(sub.markets)}})]

    def _snapshots(self, sub: Subscription, listed: Iterable[str], number: int = 0) -> list[bytes]:
        """An unknown ticker gets neither error nor data, as it seems to be since error 16 was retired."""
        known = [self._floor.markets[ticker] for ticker in listed if ticker in self._floor.markets]
        return [frames.snapshot(market.ticker, market.book, sub.sid, sub.next(), number) for market in known]

    def _unsubscribe(self, number: int, params: dict[str, Any]) -> list[bytes]:
        sids = params.get("sids") or []
        if not sids:
            return [_error(number, 4, "Subscription IDs required")]
        replies = []
        for sid in sids:
            found = next((channel for channel, sub in self._subs.items() if sub.sid == sid), None)
            if found is None:
                replies.append(_error(number, 7, "Unknown subscription ID"))
            else:
                replies.append(
                    _json({"type": "unsubscribed", "id": number, "sid": sid, "seq": self._subs.pop(found).next()})
                )
        return replies

    def _update(self, number: int, params: dict[str, Any]) -> list[bytes]:
        sids = params.get("sids") or ([params["sid"]] if "sid" in params else [])
        listed = _tickers(params)
        if len(sids) != 1:
            return [_error(number, 12, "Exactly one subscription ID required")]
        found = [(channel, sub) for channel, sub in self._subs.items() if sub.sid == sids[0]]
        if not found:
            return [_error(number, 7, "Unknown subscription ID")]
        (channel, sub), action = found[0], params.get("action")
        if not listed:
            return [_error(number, 14, "Market ticker required")]
        if action == "add_markets":
            return self._merge(number, channel, listed, quiet=bool(params.get("skip_ticker_ack")))
        if action == "delete_markets":
            sub.markets -= set(listed)
            return self._ok(number, sub, quiet=bool(params.get("skip_ticker_ack")))
        if action == "get_snapshot" and channel == "orderbook_delta":
            return self._snapshots(sub, listed, number)
        return [_error(number, 13 if action else 15, "Unsupported action" if action else "Action required")]

    def _list(self, number: int, _params: dict[str, Any]) -> list[bytes]:
        listed = [{"channel": channel, "sid": sub.sid} for channel, sub in self._subs.items()]
        return [_json({"type": "ok", "id": number, "msg": listed})]

    def events(self, happened: Iterable[Event], now_us: int) -> list[bytes]:
        """What this client hears of them."""
        out: list[bytes] = []
        books, trades = self._subs.get("orderbook_delta"), self._subs.get("trade")
        life = self._subs.get("market_lifecycle_v2")
        for event in happened:
            if isinstance(event, Change):
                if books and event.ticker in books.markets:
                    out.append(frames.delta(event, books.sid, books.next(), self._ids))
            elif isinstance(event, Execution):
                if trades and (not trades.markets or event.ticker in trades.markets):
                    self._trades += 1
                    out.append(frames.trade(event, trades.sid, trades.next(), self._trades))
            else:
                if books and event.ticker in books.markets:
                    out += self._snapshots(books, [event.ticker])
                if life:
                    out.append(frames.lifecycle(event, life.sid, life.next(), now_us))
        return out

    def tickers(self, markets: Iterable[Market], now_us: int) -> list[bytes]:
        """The once-a-second tickers of these markets."""
        sub = self._subs.get("ticker")
        if sub is None:
            return []
        return [frames.ticker(m, sub.sid, now_us) for m in markets if not sub.markets or m.ticker in sub.markets]

    def terminate(self, channel: str, code: int, text: str) -> list[bytes]:
        """Ends a subscription as the exchange does it: an error of its own sid and sequence."""
        sub = self._subs.pop(channel, None)
        if sub is None:
            return []
        return [_json({"type": "error", "sid": sub.sid, "seq": sub.next(), "msg": {"code": code, "msg": text}})]


def _tickers(params: dict[str, Any]) -> list[str]:
    listed = params.get("market_tickers") or ([params["market_ticker"]] if "market_ticker" in params else [])
    return [str(ticker) for ticker in listed] if isinstance(listed, list) else []


def _error(number: int, code: int, text: str) -> bytes:
    return _json({"type": "error"} | ({"id": number} if number else {}) | {"msg": {"code": code, "msg": text}})


def _json(thing: dict[str, Any]) -> bytes:
    return json.dumps(thing, separators=(",", ":")).encode() + b"\n"
