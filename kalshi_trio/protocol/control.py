"""Replies to commands, and the journal's own records: what they change in the builder's state."""

from __future__ import annotations

from typing import Any

import msgspec

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.books import Books
from kalshi_trio.protocol.columns import ROW
from kalshi_trio.protocol.gaps import BOOK_CHANNEL, Gaps
from kalshi_trio.protocol.messages import Control, ErrorFrame, OkFrame, SubscribedFrame, UnsubscribedFrame
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.sequence import OWN_IDS
from kalshi_trio.protocol.signals import Replied, SubscriptionLost
from kalshi_trio.protocol.state import State, Subscription

TERMINAL = {10: "channel_error", 25: "overflow"}
"""Errors after which a subscription is dead → the cause of the hole."""

_SESSION = ROW["sessions"].pack


class ControlFrames:
    """Applies replies and journal records."""

    def __init__(self, state: State, out: Output, gaps: Gaps, books: Books) -> None:
        self._state = state
        self._out = out
        self._gaps = gaps
        self._books = books

    def reply(self, message: Control, subs: dict[int, Subscription]) -> None:
        """A reply to a command; its sequence number has been counted already."""
        msg = _object(message.msg)
        code = msg.get("code") if isinstance(msg.get("code"), int) else 0
        text = str(msg.get("msg", ""))[:200]
        sid = message.sid or (msg["sid"] if isinstance(msg.get("sid"), int) and 0 <= msg["sid"] < 2**32 else 0)
        channel = msg["channel"] if isinstance(msg.get("channel"), str) else ""
        if isinstance(message, SubscribedFrame):
            self._subscribed(subs, sid, channel)
        elif isinstance(message, UnsubscribedFrame):
            subs.pop(sid, None)
        elif isinstance(message, ErrorFrame):
            self._out.warn(f"Exchange answered error {code}: {text}" + (f" (sid={sid})" if sid else ""))
            if code in TERMINAL and sid in subs:
                self._died(subs[sid], int(code or 0))
        if message.id >= OWN_IDS:
            listed = _object(message.market_tickers if isinstance(message, OkFrame) else message.msg, "market_tickers")
            kind = str(message.__struct_config__.tag)
            self._out.signals.append(
                Replied(self._out.connection, message.id, kind, sid, channel, int(code or 0), text, listed)
            )

    def _subscribed(self, subs: dict[int, Subscription], sid: int, channel: str) -> None:
        sub = subs.get(sid)
        if sub is None:
            sub = subs[sid] = Subscription(self._out.connection, sid)
        sub.channel = channel
        self._out.info(f"Subscription confirmed for sid={sid}")
        self._gaps.resubscribed(channel)

    def _died(self, sub: Subscription, code: int) -> None:
        markets = self._books.of(sub.connection, sub.sid)
        if sub.channel == BOOK_CHANNEL:
            self._books.lose(markets, TERMINAL[code], sub.connection, sub.sid)
        else:
            self._gaps.open(TERMINAL[code], sub.channel or None, list(self._state.wanted))
        self._out.signals.append(SubscriptionLost(sub.connection, sub.sid, sub.channel, code))

    def connection(self, data: bytes) -> None:
        """A connection is being opened, is open, or is over."""
        event = _object(msgspec.Raw(data))
        state, out = self._state, self._out
        if event.get("event") == "open":
            state.was_open.append(out.connection)
            state.subscriptions.setdefault(out.connection, {})
        elif event.get("event") == "closed":
            final = bool(event.get("final"))
            concerned = [m.ticker for m in state.markets.values() if m.anchored and m.connection == out.connection]
            self._books.disconnect(out.connection, final=final)
            if out.connection in state.was_open or state.subscriptions.get(out.connection):
                if not final:
                    self._gaps.open(str(event.get("cause") or "reconnect"), None, concerned or list(state.wanted))
                state.was_open = [number for number in state.was_open if number != out.connection]
            state.subscriptions.pop(out.connection, None)

    def session(self, data: bytes) -> None:
        """The session started, was recovered after a crash, or ended."""
        event = _object(msgspec.Raw(data))
        state, out = self._state, self._out
        kind = str(event.get("event", ""))
        if kind == "started":
            state.source = str(event.get("source", "live"))
            state.software = str(event.get("software", ""))
            state.settings = msgspec.json.encode(event.get("settings", {}), order="sorted").decode()
            state.wanted = [str(ticker) for ticker in event.get("markets", ())]
            state.started_ns = out.ts_recv
        else:
            for number in list(state.subscriptions):
                self._books.disconnect(number, final=True)
            state.ended = True
        text = out.packed.text
        out.packed.rows["sessions"] += _SESSION(
            *(out.frame, 0, out.ts_recv, NULL, out.connection, 0, 0),
            *(text(kind), text(state.source), text(state.software), text(state.settings)),
            *(out.packed.lists[tuple(state.wanted)], text(event.get("verdict"))),
        )
        if kind == "started" and event.get("previous"):
            self._gaps.open("crash", None, list(state.wanted))


def _object(raw: msgspec.Raw, tickers: str = "") -> Any:
    """The JSON object in `raw`, empty if it is none; with `tickers`, the list of texts that it has (or is) there."""
    try:
        thing = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(str(error)) from error
    if not tickers:
        return thing if isinstance(thing, dict) else {}
    listed = thing.get(tickers, ()) if isinstance(thing, dict) else thing
    return tuple(item for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()
