"""Replies to commands, and the journal's own records: what they change in the builder's state."""

from __future__ import annotations

from typing import Any

import msgspec

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.books import Books
from kalshi_trio.protocol.columns import ROW
from kalshi_trio.protocol.coverage import GAP
from kalshi_trio.protocol.decoder import BAD
from kalshi_trio.protocol.gaps import BOOK_CHANNEL, TERMINAL, Gaps
from kalshi_trio.protocol.messages import SID_LIMIT, Control, ErrorFrame, OkFrame, SubscribedFrame, UnsubscribedFrame
from kalshi_trio.protocol.names import fit
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.second import value_of, whole_of
from kalshi_trio.protocol.sequence import OWN_IDS
from kalshi_trio.protocol.signals import Replied, SubscriptionLost
from kalshi_trio.protocol.state import LOST, NEVER, Link, State, Subscription

_SESSION = ROW["sessions"].pack


class ControlFrames:
    """Applies replies and journal records."""

    def __init__(self, state: State, out: Output, gaps: Gaps, books: Books) -> None:
        self._state = state
        self._out = out
        self._gaps = gaps
        self._books = books

    def reply(self, message: Control) -> None:
        """A reply to a command; its sequence number has been counted already. Those to other ids are only counted."""
        subs = self._state.subscriptions[self._out.connection]
        heard = _heard(self._out.connection, message)
        if isinstance(message, SubscribedFrame):
            self._subscribed(subs, heard)
        elif isinstance(message, UnsubscribedFrame) and heard.sid in subs:
            self._unsubscribed(subs.pop(heard.sid), heard)
        elif isinstance(message, ErrorFrame):
            on = f" (sid={heard.sid})" if heard.sid else ""
            self._out.seldom(f"error {heard.code}", f"Exchange answered error {heard.code}: {heard.text}{on}")
            if heard.code in TERMINAL and heard.sid and heard.sid in subs:
                self._died(subs.pop(heard.sid), TERMINAL[heard.code], heard.code)
        if heard.id >= OWN_IDS:
            self._out.signals.append(heard)

    def _subscribed(self, subs: dict[int, Subscription], heard: Replied) -> None:
        if not heard.sid or not heard.channel:
            raise WireError("a subscription without sid or channel")
        sub = subs.setdefault(heard.sid, Subscription(heard.connection, heard.sid))
        sub.channel = heard.channel
        sub.heard_ns = sub.heard_ns or self._out.ts_recv
        self._out.info(f"Subscription confirmed for sid={heard.sid}")
        self._gaps.resubscribed(heard.channel)

    def _unsubscribed(self, sub: Subscription, heard: Replied) -> None:
        """As somebody wished, if it answers a command of ours; else as good as an error 10."""
        if heard.id >= OWN_IDS:
            self._books.unsubscribed(sub)
            return
        where = f"{sub.channel or 'a channel'} unasked (sid={sub.sid})"
        self._out.seldom("unsubscribed", f"Exchange ended the subscription to {where}")
        self._died(sub, TERMINAL[10], 0)

    def _died(self, sub: Subscription, cause: str, code: int) -> None:
        known = self._gaps.known(sub)
        self._books.close_instant(sub, None)
        if sub.channel in (BOOK_CHANNEL, ""):
            self._books.lose_all(sub, cause, sub.channel or None)
        else:
            self._gaps.open(cause, sub.channel, self._state.wanted, known, sid=sub.sid)
        self._out.signals.append(SubscriptionLost(sub.connection, sub.sid, sub.channel, code))

    def connection(self, data: bytes) -> None:
        """A connection is being opened, is open, or is over."""
        event = _own(data)
        number = self._out.connection
        if event.get("event") == "open":
            self._opened(number)
        elif event.get("event") == "closed":
            self._closed(number, event)

    def _opened(self, number: int) -> None:
        """From now on the books of all wanted markets are to come, unless they are whole, lost already, or closed."""
        state, gaps, now = self._state, self._gaps, self._out.ts_recv
        state.links[number] = Link(now)
        state.subscriptions.setdefault(number, {})
        gaps.reconnected()
        for ticker in self._books.bookless() if not state.as_seen else ():
            market = state.markets.get(ticker)
            if market is None or market.cover != GAP:
                gaps.wait_for(ticker, now)

    def _closed(self, number: int, event: dict[str, Any]) -> None:
        """A gap begins where a connection that brought something ends, unless it is the session's end too."""
        state, gaps, final = self._state, self._gaps, bool(event.get("final"))
        link, now = state.links.get(number), self._out.ts_recv
        at = gaps.known(Subscription(number, 0)) if link and not final else now
        heard = event.get("heard_ns")
        if link and isinstance(heard, int):
            at = min(max(heard, link.opened_ns), now)
        if link and not final:
            cause = str(event.get("cause") or "reconnect")
            gaps.open(cause, None, self._books.concerned(number), at)
        self._books.disconnect(number, at, final=final)
        state.subscriptions.pop(number, None)
        state.links.pop(number, None)
        state.turned = [other for other in state.turned if other != number]
        if final and not state.links:
            gaps.judge(NEVER)

    def lost(self, before: int) -> None:
        """Records before this one are lost: no book is to be trusted, and every run of numbers begins anew.

        `before`: the time of the last record that there is, 0 if there is none.
        """
        state, books = self._state, self._books
        state.holed = False
        state.started_ns = state.started_ns or self._out.ts_recv
        concerned = {ticker for number in state.subscriptions for ticker in books.concerned(number)}
        concerned.update(books.bookless())
        self._gaps.open("damage", None, concerned, before or self._out.ts_recv)
        for number, subs in state.subscriptions.items():
            books.disconnect(number, before, final=False)
            for sub in subs.values():
                sub.seq = LOST

    def session(self, data: bytes) -> None:
        """The session started, was recovered after a crash, or ended."""
        event = _own(data)
        state, out = self._state, self._out
        kind = str(event.get("event", ""))
        if kind == "started":
            state.source = str(event.get("source", "live"))
            state.software = str(event.get("software", ""))
            state.settings = msgspec.json.encode(event.get("settings", {}), order="sorted").decode()
            state.as_seen = event.get("as_seen") is True
            state.wanted = [str(ticker) for ticker in event.get("markets", ())]
            state.started_ns, state.begun = out.ts_recv, True
        else:
            for number in state.subscriptions:
                self._books.disconnect(number, out.ts_recv, final=True)
            state.ended = True
            if kind == "ended":
                self._gaps.judge(NEVER)
        text = out.packed.text
        out.packed.rows["sessions"] += _SESSION(
            *(out.frame, NULL, 0, 0),
            *(text(kind), text(state.source), text(state.software), text(state.settings)),
            *(out.packed.lists[tuple(state.wanted)], text(event.get("verdict"))),
        )
        if kind == "started":
            for one in event.get("died") or [event.get("previous")]:
                self._crashed(one)

    def _crashed(self, died: object) -> None:
        """A session before this one died: from its last durable record on, nothing is known of its markets and ours."""
        if not isinstance(died, dict):
            return
        at, markets = died.get("at_ns"), died.get("markets")
        theirs = [str(ticker) for ticker in markets] if isinstance(markets, list) else []
        known = at if isinstance(at, int) else self._out.ts_recv
        self._gaps.open("crash", None, [*theirs, *self._state.wanted], known)


def _heard(connection: int, message: Control) -> Replied:
    """What a reply says; whatever has another shape than expected is left out."""
    kind, said = str(message.__struct_config__.tag), value_of(message.msg)
    msg: dict[str, Any] = said if isinstance(said, dict) else {}
    code, sid = _number(msg.get("code")), message.sid or _number(msg.get("sid"))
    channel = msg.get("channel")
    named = channel if isinstance(channel, str) and fit(channel) else ""
    listed = msg.get("market_tickers") or msg.get("market_ticker")
    if listed is None and isinstance(message, OkFrame):
        listed = value_of(message.market_tickers)  # early 2026: beside `msg`
    return Replied(connection, message.id, kind, sid, named, code, str(msg.get("msg", ""))[:200], _tickers(listed))


def _number(value: object) -> int:
    return whole_of(value, SID_LIMIT) or 0


def _tickers(listed: object) -> tuple[str, ...]:
    some = listed if isinstance(listed, list) else [listed]
    return tuple(item for item in some if isinstance(item, str))


def _own(data: bytes) -> Any:
    """A record that we wrote ourselves; WireError."""
    try:
        return msgspec.json.decode(data)
    except BAD as error:
        raise WireError(str(error)) from error
