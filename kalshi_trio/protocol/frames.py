"""Data frames one by one: decoded, put in sequence, handed to whom they concern; what cannot be read is refused.

A frame is one message, mostly. Where it is several JSON texts, each is taken as if it had come alone, and the frame counts
once: as refused if one of them was, as read if rows were made of one, else as what they all are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kalshi_trio.errors import WireError
from kalshi_trio.protocol import messages as m
from kalshi_trio.protocol.books import UNREADABLE, Books
from kalshi_trio.protocol.control import ControlFrames
from kalshi_trio.protocol.decoder import BAD, SHALLOW, Decoder, too_deep
from kalshi_trio.protocol.gaps import BOOK_CHANNEL, Gaps
from kalshi_trio.protocol.names import fit
from kalshi_trio.protocol.others import Others
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.sequence import CHANNELS, OWN_IDS, Sequences
from kalshi_trio.protocol.signals import Replied
from kalshi_trio.protocol.state import Link, State, Subscription
from kalshi_trio.protocol.texts import texts

Handler = Callable[[Any, Any], None]
_NAMES = 100
"""So many unknown types are counted each by its name."""


class _Handlers(dict[type, Handler]):
    """Type of message → what deals with it; a type with learnt fields goes where the plain one goes."""

    def __missing__(self, kind: type) -> Handler:
        self[kind] = self[next(known for known in kind.__mro__ if known in self)]
        return self[kind]


class Frames:
    """Applies data frames to the state; one bad frame stays one bad frame."""

    def __init__(self, state: State, out: Output, gaps: Gaps, books: Books, control: ControlFrames) -> None:
        self._state = state
        self._out = out
        self._books = books
        self._gaps = gaps
        self._values = values = books.values
        self._sequences = Sequences(state, out, gaps, books)
        self._others = Others(out, values)
        self._control = control
        self._decoder = Decoder(state.census)
        self._snapshots: list[int] = []
        routes: dict[type, Handler] = {
            m.DeltaFrame: books.delta,
            m.SnapshotFrame: self._snapshot,
            m.TradeFrame: self._trade,
            m.TickerFrame: self._ticker,
            m.Unknown: self._unknown,
            m.Unfit: self._unfit,
            m.OtherLifecycle: self._other_lifecycle,
            **dict.fromkeys(m.LIFECYCLE, self._lifecycle),
            **dict.fromkeys((m.SubscribedFrame, m.OkFrame, m.UnsubscribedFrame, m.ErrorFrame), self._reply),
        }
        self._handlers = _Handlers(routes)
        self._first = 0
        self.milestone = (0, 0, 0)

    def feed(self, records: Records) -> None:
        """Takes frames that arrived in one read."""
        state, out = self._state, self._out
        subs = state.subscriptions.setdefault(records.connection, {})
        link, ts_recv = self._link(records), records.ts_recv
        handlers, decode = self._handlers, self._decoder.decode
        for out.frame, data in enumerate(records.data, records.first):
            try:
                if not data.isascii():
                    data.decode()
                if len(data) > SHALLOW and too_deep(data):
                    raise RecursionError
                message: Any = decode(data)
            except BAD:
                self._odd(subs, data)
                decode = self._decoder.decode
                continue
            out.sid = message.sid
            out.seq = seq = message.seq
            out.stale = False
            sub = subs.get(message.sid)
            if sub is not None and seq == sub.seq + 1 and sub.channel:
                sub.seq = seq
            elif sub is None or seq or sub.seq or not sub.sid:
                sub = self._sequences.judge(subs, sub, message)
            try:
                handlers[type(message)](sub, message)
            except WireError:
                self._again(sub, data)
            if sub.seq == seq:
                sub.heard_ns = ts_recv
        link.heard_ns = ts_recv
        state.tally.received += len(records.data)
        self._precisions()
        self._count_thousands()

    def _link(self, records: Records) -> Link:
        """The connection of these frames; an import may not say that it was opened."""
        self._first = records.first
        link = self._state.links.get(records.connection)
        if link is None:
            link = self._state.links[records.connection] = Link(records.ts_recv)
        return link

    def _count(self, name: str) -> None:
        others = self._state.tally.others
        others[name] = others.get(name, 0) + 1

    def _snapshot(self, sub: Subscription, message: m.SnapshotFrame) -> None:
        self._books.snapshot(sub, message)
        tally = self._state.tally
        self._snapshots.append(tally.deltas + tally.snapshots)
        if message.id >= OWN_IDS:
            ticker = (message.msg.market_ticker,)
            said = (self._out.connection, message.id, "orderbook_snapshot", message.sid, BOOK_CHANNEL, 0, "", ticker)
            self._out.signals.append(Replied(*said))

    def _trade(self, _sub: Subscription, message: m.TradeFrame) -> None:
        self._others.trade(message.msg)
        self._count("trade")

    def _ticker(self, _sub: Subscription, message: m.TickerFrame) -> None:
        self._others.ticker(message.msg)
        self._count("ticker")

    def _lifecycle(self, _sub: Subscription, message: m.Lifecycle) -> None:
        kind = _tag(message)
        self._books.lifecycle(*self._others.lifecycle(kind, message.msg))
        self._count(kind)

    def _other_lifecycle(self, _sub: Subscription, message: m.OtherLifecycle) -> None:
        self._books.lifecycle(*self._others.lifecycle(message.type, message.msg))
        self._count(self._named(message.type))

    def _named(self, name: str) -> str:
        """The name under which frames of an unknown type are counted, as long as nobody invents them by the hundred."""
        others = self._state.tally.others
        return name if name in others or len(others) < _NAMES else "(others)"

    def _reply(self, _sub: Subscription, message: m.Control) -> None:
        self._control.reply(message)
        self._state.tally.control += 1
        self._count(_tag(message))

    def _unknown(self, _sub: Subscription, message: m.Unknown) -> None:
        name = self._named(message.type)
        if name not in self._state.tally.others:
            self._out.warn(f"Frames of an unknown type {name!r}: kept raw in the journal")
        self._state.tally.unknown += 1
        self._count(name)

    def _unfit(self, _sub: Subscription, message: m.Unfit) -> None:
        raise WireError(message.why)

    def _odd(self, subs: dict[int, Subscription], data: bytes) -> None:
        """What the strict decoder refused: read field by field, or text by text."""
        parts = texts(data)
        if len(parts) == 1:
            self._text(subs, parts[0])
            return
        tally = self._state.tally
        control, unknown, refused, messages = tally.control, tally.unknown, tally.refused, tally.messages
        for part in parts:
            self._text(subs, part)
        more = tally.messages - messages
        bad, replies = tally.refused > refused, tally.control > control
        rows = more > tally.control - control + tally.unknown - unknown
        tally.refused = refused + bad
        tally.control = control + (replies and not bad and not rows)
        tally.unknown = unknown + (not replies and not bad and not rows)
        tally.more += more - (not bad)

    def _text(self, subs: dict[int, Subscription], data: bytes) -> None:
        """One message that is not simply what was expected."""
        out = self._out
        out.sid = out.seq = 0
        out.stale = False
        try:
            message: Any = self._decoder.odd(data)
        except WireError as error:
            self._refuse(data, str(error))
            self._missed(None)
            return
        out.sid, out.seq = message.sid, message.seq
        sub = self._sequences.judge(subs, subs.get(message.sid), message)
        try:
            self._handlers[type(message)](sub, message)
        except WireError as error:
            if isinstance(message, m.Unknown):
                self._refuse(data, str(error))
                self._missed(message)
            else:
                self._again(sub, data)
        if sub.seq == message.seq:
            sub.heard_ns = out.ts_recv

    def _again(self, sub: Subscription, data: bytes) -> None:
        """What was decoded, but no row could be made of: read field by field."""
        message: Any = self._decoder.again(data)
        try:
            self._handlers[type(message)](sub, message)
        except WireError as error:
            self._refuse(data, str(error))
            self._missed(message)

    def _refuse(self, data: bytes, why: str) -> None:
        """Counts the frame."""
        self._state.tally.refused += 1
        self._out.seldom("refused", f"Refused frame {self._out.frame}: {why[:200]}: {data[:200]!r}")

    def _missed(self, message: Any) -> None:
        """What a refused frame (None: no message at all) said is not known: whom that concerns has a gap.

        A frame of a book channel concerns the market that it names, all of its sid's if it names none; one that does not
        even say what it is, or is no channel's, all of its connection's.
        """
        state, out, books, gaps = self._state, self._out, self._books, self._gaps
        if out.frame > self._first:  # what came before it in the same read was good
            state.links[out.connection].heard_ns = out.ts_recv
        sub = state.subscriptions[out.connection].get(out.sid) or Subscription(out.connection, out.sid)
        kind = "" if message is None else _tag(message)
        named = message.market if isinstance(message, m.Unfit) else _ticker(message)
        channel = CHANNELS.get(kind)
        if channel is None:
            books.lose_all(sub, UNREADABLE, None)
        elif channel != BOOK_CHANNEL:
            markets = state.wanted if not fit(named) else [named] if gaps.wants(named) else []
            if markets:
                gaps.open(UNREADABLE, channel, markets, gaps.known(sub), sid=sub.sid)
        elif fit(named):
            books.lose_one(named, UNREADABLE)
        else:
            books.lose_all(sub, UNREADABLE, channel)

    def _precisions(self) -> None:
        values = self._values
        if not (values.prices.odd or values.counts.odd or values.times.odd):
            return
        for numbers in (values.prices, values.counts, values.times):
            for decimals, times in sorted(numbers.odd.items()):
                self._state.census.precision(numbers.what, decimals, times)
            numbers.odd.clear()

    def _count_thousands(self) -> None:
        tally = self._state.tally
        events = (tally.deltas + tally.snapshots) // 1000 * 1000
        if events != self.milestone[0]:
            snapshots = tally.snapshots - sum(number > events for number in self._snapshots)
            self.milestone = (events, snapshots, events - snapshots)
        self._snapshots.clear()


def _tag(message: Any) -> str:
    """The type, as a channel has it: a life of a kind that we do not know comes where the others do."""
    if isinstance(message, m.OtherLifecycle):
        return "market_lifecycle_v2"
    return message.type if isinstance(message, m.Unknown) else str(message.__struct_config__.tag)


def _ticker(message: Any) -> str:
    """The market that a message names, "" if it names none."""
    ticker = getattr(getattr(message, "msg", None), "market_ticker", "")
    return ticker if isinstance(ticker, str) else ""
