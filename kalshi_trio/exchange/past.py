"""Recorded frames as an exchange's floor: the past, told to clients that have subscriptions of their own.

The journal's records go through the recorder's builder, so that at every moment each market's book is known; what comes
out are events, in order: a frame of some channel, or numbers that the recording lacks. Numbers that are lacking, and
connections that were lost, stay visible to clients as holes in their own sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from kalshi_trio.exchange.desk import BOOKS, LIFECYCLE, TICKERS, TRADES
from kalshi_trio.exchange.eras import Era
from kalshi_trio.exchange.market import Book
from kalshi_trio.exchange.replies import TERMINAL
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.sequence import OWN_IDS
from kalshi_trio.protocol.state import Market, Subscription

CHANNELS = {
    **dict.fromkeys(("orderbook_snapshot", "orderbook_delta"), BOOKS),
    "trade": TRADES,
    "ticker": TICKERS,
    **dict.fromkeys(("market_lifecycle_v2", "event_lifecycle", "event_fee_update"), LIFECYCLE),
}
"""Type of a frame → its channel."""
_TRADES_KNOWN = 10_000


class Played(NamedTuple):
    """A recorded frame; `msg` as it came. `behind`: its number came so much too late, 0 in sequence."""

    channel: str
    kind: str
    ticker: str
    msg: bytes
    behind: int = 0


class Lacking(NamedTuple):
    """So many `numbers` of a channel are not in the recording; `channel` empty: of each."""

    channel: str
    numbers: int


PastEvent = Played | Lacking


class _Frame(Struct):
    type: str
    sid: int = 0
    seq: int = 0
    id: int = 0
    msg: Raw = Raw(b"{}")


class _Msg(Struct):
    market_ticker: str = ""
    trade_id: str = ""
    code: int = 0


class Past:
    """The floor. `builder` stands before the first record that is taken; `markets` empty: all of them are told.

    Deltas of a market are told between its first snapshot and the end of the connection that brought it: without one
    nobody can use them, and no exchange sends them. Where two recorded connections brought the same market, those of one
    are told.
    """

    def __init__(self, builder: Builder, markets: Collection[str] = ()) -> None:
        self._builder = builder
        self._state = builder.state
        self._chosen = frozenset(markets)
        self._trades: dict[str, None] = {}
        self._frame = msgspec.json.Decoder(_Frame).decode
        self._msg = msgspec.json.Decoder(_Msg).decode
        self.markets: Mapping[str, PastMarket] = _Whole(builder.state.markets, self._chosen)
        """Those whose books are whole now."""
        self.left_out = 0
        """Frames that could not be read."""

    @property
    def frame(self) -> int:
        """The last record that was taken."""
        return self._state.frame

    def lost(self, through: int) -> list[PastEvent]:
        """The records up to `through` are damaged."""
        self._builder.lost(through)
        return [Lacking("", 1)]

    def take(self, records: Records) -> list[PastEvent]:
        """What clients hear of the next records."""
        if records.kind == "frame":
            told = [event for at in range(len(records.data)) for event in self._one(records, at)]
        else:
            told = list(self._own(records))
        self._builder.take()
        self._builder.told()
        return told

    def _own(self, records: Records) -> Iterator[PastEvent]:
        event = _event(records.data[-1]) if records.kind in {"connection", "session"} else {}
        if event.get("final") or event.get("event") in {"ended", "recovered"}:
            # The end of the recording is not the end of the market: its books stay.
            records = records._replace(kind="command")
        elif event.get("event") == "closed" and self._state.subscriptions.get(records.connection):
            yield Lacking("", 1)
        self._builder.feed(records)

    def _one(self, records: Records, at: int) -> Iterator[PastEvent]:
        """One frame, and what its number shows before it."""
        data = records.data[at]
        subs = self._state.subscriptions.get(records.connection, {})
        try:
            frame = self._frame(data)
            msg = self._msg(frame.msg)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.left_out += 1
            self._builder.feed(records._replace(first=records.first + at, data=[data]))
            return
        before = subs.get(frame.sid)
        expected, channel = (before.seq + 1, before.channel) if before else (0, "")
        self._builder.feed(records._replace(first=records.first + at, data=[data]))
        behind = 0
        if expected and frame.seq and frame.id < OWN_IDS:
            if expected < 0 or frame.seq > expected:
                yield Lacking(channel, max(frame.seq - expected, 1) if expected > 0 else 1)
            behind = max(expected - frame.seq, 0)
        if frame.type == "error" and msg.code in TERMINAL and before is not None:
            yield Lacking(channel, 1)
        told = CHANNELS.get(frame.type)
        if told is not None and self._is_told(told, frame, msg, records.connection):
            yield Played(told, frame.type, msg.market_ticker, bytes(frame.msg), behind)

    def _is_told(self, channel: str, frame: _Frame, msg: _Msg, connection: int) -> bool:
        if self._chosen and msg.market_ticker and msg.market_ticker not in self._chosen:
            return False
        if channel == BOOKS:
            market = self._state.markets.get(msg.market_ticker)
            return market is not None and market.anchored and market.home == Subscription(connection, frame.sid).key
        if channel == TRADES and msg.trade_id:
            return self._is_new(msg.trade_id)
        return True

    def _is_new(self, trade_id: str) -> bool:
        """Two recorded connections may both have brought it."""
        if trade_id in self._trades:
            return False
        self._trades[trade_id] = None
        if len(self._trades) > _TRADES_KNOWN:
            del self._trades[next(iter(self._trades))]
        return True


class PastMarket:
    """A market whose book is whole."""

    def __init__(self, market: Market) -> None:
        self._market = market

    @property
    def book(self) -> Book:
        """As it stands."""
        book = Book()
        book.sides["yes"].update(self._market.book.yes.levels)
        book.sides["no"].update(self._market.book.no.levels)
        return book


class _Whole(Mapping[str, PastMarket]):
    def __init__(self, markets: Mapping[str, Market], chosen: frozenset[str]) -> None:
        self._markets, self._chosen = markets, chosen

    def __getitem__(self, ticker: str) -> PastMarket:
        market = self._markets[ticker]
        if not market.valid or (self._chosen and ticker not in self._chosen):
            raise KeyError(ticker)
        return PastMarket(market)

    def __iter__(self) -> Iterator[str]:
        return (ticker for ticker in self._markets if ticker in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def era_of(frame: bytes) -> Era | None:
    """How the frames of a recording look; None for a frame that does not tell."""
    if b'"orderbook_delta"' not in frame or b'"price' not in frame:
        return None
    if b'"delta_fp"' not in frame:
        return "cents"
    return "dual" if b'"price":' in frame.replace(b" ", b"") else "current"


def _event(data: bytes) -> dict[str, object]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
