"""One client's subscriptions at the exchange: sids, sequence numbers, replies. Pure: commands in, frames out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from kalshi_trio.exchange.commands import Command, Refused, parse
from kalshi_trio.exchange.eras import FRAMES
from kalshi_trio.exchange.market import Book, Change, Event, Execution, Quote, Told, Whole
from kalshi_trio.exchange.replies import error, reply, subscribed
from kalshi_trio.exchange.rules import Rules

BOOKS, TRADES, TICKERS, LIFECYCLE = CHANNELS = ("orderbook_delta", "trade", "ticker", "market_lifecycle_v2")
_HEARD_ON = {Change: BOOKS, Whole: BOOKS, Execution: TRADES, Quote: TICKERS, Told: LIFECYCLE}


class Listed(Protocol):
    """A market, as far as a desk looks at it."""

    @property
    def book(self) -> Book:
        """As it stands."""


class Floor(Protocol):
    """Where the markets are."""

    @property
    def markets(self) -> Mapping[str, Listed]:
        """By ticker; those that are not there have no book to show."""


class Subscription:
    """One sid; `markets` empty means all of them, where the channel allows that."""

    def __init__(self, sid: int, channel: str, *, yes_price: bool) -> None:
        self.sid = sid
        self.channel = channel
        self.yes_price = yes_price
        self.markets: set[str] = set()
        self._seq = 0

    def wants(self, event: Event) -> bool:
        """Whether the filter lets it through; the lifecycle channel has none."""
        return isinstance(event, Told) or event.ticker in self.markets or (not self.markets and self.channel != BOOKS)

    def seq(self) -> int:
        """The next sequence number: every frame of the sid takes one, replies too; the ticker channel has none."""
        self._seq += self.channel != TICKERS
        return self._seq

    def skip(self, numbers: int) -> None:
        """So many frames of the sid never reach the client."""
        self._seq += numbers * (self.channel != TICKERS)

    def old(self, behind: int) -> int:
        """A number so far behind the next one: that of a frame which comes twice, or too late."""
        return max(self._seq + 1 - behind, 1) if self._seq else 0


class Desk:
    """A connection's side of the conversation; sids start at 1 on each connection."""

    def __init__(self, floor: Floor, rules: Rules | None = None, wall_us: Callable[[], int] | None = None) -> None:
        """`wall_us`: the time that `sending_ts_ms` says; None: frames do not have it, as before October 2026."""
        self._floor = floor
        self._wall_us = wall_us if rules is None or rules.era == "current" else None
        self._rules = rules or Rules()
        self._frames = FRAMES[self._rules.era]
        self._busy = self._rules.busy
        self._subs: dict[str, Subscription] = {}
        self._sids = 0

    def command(self, text: str | bytes) -> list[bytes]:
        """The replies to one command, in the order in which the exchange sends them."""
        try:
            command = parse(text)
            return self._stamped(self._act(command))
        except Refused as refused:
            return self._stamped([error(refused.code, refused.number)])

    def _stamped(self, frames: list[bytes]) -> list[bytes]:
        """With the time at which they are queued."""
        if self._wall_us is None or not frames:
            return frames
        end = b',"sending_ts_ms":%d}\n' % (self._wall_us() // 1_000)
        return [frame[:-2] + end for frame in frames]

    def _act(self, command: Command) -> list[bytes]:
        if self._busy:
            self._busy -= 1
            raise Refused(27, command.number)
        match command.name:
            case "subscribe":
                return self._subscribe(command)
            case "unsubscribe":
                return self._unsubscribe(command)
            case "update_subscription":
                return self._update(command)
            case "list_subscriptions":
                return self._list(command)
        raise Refused(5, command.number)

    def _subscribe(self, command: Command) -> list[bytes]:
        if not command.channels:
            raise Refused(3, command.number)
        replies: list[bytes] = []
        for channel in command.channels:
            try:
                replies += self._open(command, channel)
            except Refused as refused:
                replies.append(error(refused.code, refused.number))
        return replies

    def _open(self, command: Command, channel: str) -> list[bytes]:
        if channel not in CHANNELS:
            raise Refused(8, command.number)
        if channel == BOOKS and not command.tickers:
            raise Refused(14, command.number)
        if channel in self._subs:
            return self._merge(command, self._subs[channel])
        self._limit(command, set(command.tickers))
        self._sids += 1
        sub = self._subs[channel] = Subscription(self._sids, channel, yes_price=command.use_yes_price)
        sub.markets |= set(command.tickers)
        ack, books = [subscribed(command.number, channel, sub.sid)], self._snapshots(sub, command.tickers)
        return books + ack if self._rules.late_acks else ack + books

    def _merge(self, command: Command, sub: Subscription) -> list[bytes]:
        """A second subscription of a channel is answered by `ok`, and takes a seq of the first."""
        self._limit(command, sub.markets | set(command.tickers))
        new = [ticker for ticker in command.tickers if ticker not in sub.markets]
        sub.markets |= set(new)
        return [self._ok(command, sub), *self._snapshots(sub, new)]

    def _limit(self, command: Command, markets: set[str]) -> None:
        if self._rules.market_limit is not None and len(markets) > self._rules.market_limit:
            raise Refused(26, command.number)

    def _ok(self, command: Command, sub: Subscription) -> bytes:
        answer: dict[str, object] = {"type": "ok", "id": command.number, "sid": sub.sid}
        answer |= {"seq": seq} if (seq := sub.seq()) else {}
        return reply(answer if command.skip_ticker_ack else answer | {"msg": {"market_tickers": sorted(sub.markets)}})

    def _snapshots(self, sub: Subscription, tickers: Iterable[str], number: int = 0) -> list[bytes]:
        """An unknown ticker gets neither error nor data, as it seems to be since error 16 was retired."""
        if sub.channel != BOOKS:
            return []
        known = [t for t in tickers if t in self._floor.markets and t not in self._rules.withheld]
        return [
            self._frames.snapshot(t, self._floor.markets[t].book, sub.sid, sub.seq(), number, yes_price=sub.yes_price)
            for t in known
        ]

    def _unsubscribe(self, command: Command) -> list[bytes]:
        if not command.sids:
            raise Refused(4, command.number)
        replies = []
        for sid in command.sids:
            sub = self._by_sid(sid)
            if sub is None:
                replies.append(error(7, command.number))
                continue
            del self._subs[sub.channel]
            answer = {"type": "unsubscribed", "id": command.number, "sid": sid}
            replies.append(reply(answer | ({"seq": seq} if (seq := sub.seq()) else {})))
        return replies

    def _update(self, command: Command) -> list[bytes]:
        if len(command.sids) != 1:
            raise Refused(12, command.number)
        sub = self._by_sid(command.sids[0])
        if sub is None:
            raise Refused(7, command.number)
        if not command.action:
            raise Refused(15, command.number)
        if not command.tickers:
            raise Refused(14, command.number)
        if command.action == "add_markets":
            return self._merge(command, sub)
        if command.action == "delete_markets":
            sub.markets -= set(command.tickers)
            return [self._ok(command, sub)]
        if command.action == "get_snapshot" and sub.channel == BOOKS:
            return self._snapshots(sub, command.tickers, command.number)
        raise Refused(13, command.number)

    def _list(self, command: Command) -> list[bytes]:
        listed = [{"channel": sub.channel, "sid": sub.sid} for sub in self._subs.values()]
        return [reply({"type": "ok", "id": command.number, "msg": listed})]

    def _by_sid(self, sid: int) -> Subscription | None:
        return next((sub for sub in self._subs.values() if sub.sid == sid), None)

    def events(self, happened: Iterable[Event]) -> list[bytes]:
        """What this client hears of them."""
        out: list[bytes] = []
        for event in happened:
            sub = self._subs.get(_HEARD_ON[type(event)])
            if sub is not None and sub.wants(event):
                out += self._tell(event, sub)
        return self._stamped(out)

    def _tell(self, event: Event, sub: Subscription) -> list[bytes]:
        make, sid = self._frames, sub.sid
        match event:
            case Change():
                return [make.delta(event, sid, sub.seq(), yes_price=sub.yes_price)]
            case Execution():
                return [make.trade(event, sid, sub.seq())]
            case Quote():
                return [make.ticker(event, sid)]
            case Told():
                return [make.told(event, sid, sub.seq())]
            case Whole():
                return self._snapshots(sub, [event.ticker])

    def terminate(self, code: int) -> list[bytes]:
        """Ends every subscription as the exchange does it: an error of its own sid and sequence."""
        dead = list(self._subs.values())
        self._subs.clear()
        return self._stamped([error(code, sid=sub.sid, seq=sub.seq()) for sub in dead])

    def forget(self, sid: int) -> None:
        """Drops a subscription without a word: the client was told otherwise."""
        sub = self._by_sid(sid)
        if sub is not None:
            del self._subs[sub.channel]
