"""What we want to hear, what the exchange has said to that, and the next thing to ask: a state machine without I/O.

One subscribing command is under way at a time, since replies come out of order where several are. Replies are known by
their command's id; those to other ids are not ours. Time is an argument, in seconds of any steady clock.

    up ─▶ next … next ─▶ heard (reply) ─▶ next …  ─▶ heard (book lost) ─▶ next (get_snapshot) … ─▶ down
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kalshi_trio.protocol.awaited import Awaited
from kalshi_trio.protocol.channel import Channel
from kalshi_trio.protocol.commands import FIRST_ID, get_snapshot
from kalshi_trio.protocol.links import Command, HangUp, Order
from kalshi_trio.protocol.signals import (
    ERROR,
    INFO,
    WARNING,
    BooksLost,
    BookWhole,
    Notice,
    Replied,
    Signal,
    SubscriptionLost,
)

BOOKS = "orderbook_delta"
CHOSEN = (BOOKS, "trade", "ticker")
LIFECYCLE = "market_lifecycle_v2"
CHUNK = 200
"""Markets a command: 200 on one subscription were seen to work, no limit is published."""
REPLY_SECONDS = 10.0
TRIES = 3
SAY_SECONDS = 60.0

_GONE = frozenset((7, 10, 25))
_BUSY = frozenset((18, 27))
_TOO_MANY = 26
_BAD_MARKET = frozenset((11, 14, 16))
_SHOWN = 20
_TURNED = (
    "Most books of this connection are crossed as soon as their snapshots come: their NO side looks like YES prices "
    "(use_yes_price). They are asked for no more on this connection; frames go on into the journal"
)


class Asked(NamedTuple):
    """A command that was sent; `channel` None: get_snapshot."""

    channel: Channel | None
    markets: tuple[str, ...]
    due: float


class Subscriptions:
    """One session's, from connection to connection."""

    def __init__(self, markets: Sequence[str], *, chunk: int = CHUNK) -> None:
        self.markets = tuple(dict.fromkeys(markets))
        self._wanted = frozenset(markets)
        self.connection = 0
        """The open connection, 0 while there is none."""
        self._chunk = chunk
        self._channels = [Channel(name, self.markets, chunk) for name in CHOSEN]
        self._channels.append(Channel(LIFECYCLE, None, chunk))
        self._books = self._channels[0]
        self._awaited = Awaited()
        self._asked: dict[int, Asked] = {}
        self._last_id = FIRST_ID - 1
        self._under_way = 0
        self._pause_until = 0.0
        self._pauses = 0
        self._hang_up = ""
        self._seen: dict[str, bool] = {}
        """Markets of this connection of which a book came or was lost → whether it looked turned, the last time."""
        self._turned = False
        self._notices: list[Notice] = []
        self._said_at: dict[str, float] = {}

    def up(self, connection: int) -> None:
        """A connection is open: everything is to be asked for."""
        self.down()
        self.connection = connection
        for channel in self._channels:
            channel.begin()
        self._say(INFO, f"Subscribing to markets: {_shown(self.markets)}")

    def down(self) -> None:
        """The connection is over, and with it all that was asked."""
        self.connection = self._under_way = self._pauses = 0
        self._pause_until, self._hang_up = 0.0, ""
        self._asked.clear()
        self._awaited.clear()
        self._seen.clear()
        self._turned = False

    def told(self) -> list[Notice]:
        """Lines for the log since the last time."""
        notices, self._notices = self._notices, []
        return notices

    def heard(self, signal: Signal, now: float) -> None:
        """Takes a fact; facts about other connections change nothing."""
        if signal.connection != self.connection or not self.connection:
            return
        if isinstance(signal, Replied):
            self._replied(signal, now)
        elif isinstance(signal, BookWhole):
            if signal.market in self._wanted:
                self._seen[signal.market] = False
            if self._awaited.came(signal.market, now):
                self._say(INFO, f"The book of {signal.market} has come")
        elif isinstance(signal, SubscriptionLost):
            for channel in self._channels:
                if channel.name == signal.channel or (signal.sid and channel.sid == signal.sid):
                    self._died(channel, signal.code, now)
        elif self._books.open:
            self._lost(signal, now)

    def _lost(self, signal: BooksLost, now: float) -> None:
        """Asks again, unless it is plain that no answer will help."""
        markets = [market for market in signal.markets if market in self._wanted]
        self._seen.update(dict.fromkeys(markets, signal.turned))
        if self._turned:
            return
        self._awaited.lose(markets, now)
        stubborn = self._awaited.stubborn(markets)
        if not stubborn:
            return
        if 2 * sum(self._seen.values()) > len(self._seen):
            self._turned = True
            self._awaited.clear()
            self._seldom(ERROR, "turned", f"{_TURNED}: {_shown(self._turned_markets())}", now)
        else:
            text = f"Books are lost again after each snapshot, asking ever more seldom: {_shown(stubborn)}"
            self._seldom(ERROR, "stubborn", text, now)

    def _turned_markets(self) -> list[str]:
        return sorted(market for market, turned in self._seen.items() if turned)

    def _replied(self, reply: Replied, now: float) -> None:
        asked = self._asked.get(reply.id)
        if asked is None:
            return
        channel, markets, _ = asked
        if reply.kind == "error":
            self._end(reply.id)
            self._refused(channel, markets, reply, now)
        elif channel is not None:
            self._end(reply.id)
            self._pauses = 0
            channel.granted(reply.sid, now)

    def _end(self, number: int) -> None:
        del self._asked[number]
        if number == self._under_way:
            self._under_way = 0

    def _refused(self, channel: Channel | None, markets: tuple[str, ...], reply: Replied, now: float) -> None:
        code, said = reply.code, f"error {reply.code} {reply.text}".strip()
        if code in _BUSY:
            self._pause(now)
        if channel is None:
            if code in _GONE:
                self._died(self._books, code, now)
            return  # the books are still awaited, and asked for again when they are due
        if channel is self._books:
            self._awaited.forget(markets)
        if code in _BUSY:
            channel.put_back(markets)
        elif code in _GONE and channel.open:
            self._died(channel, code, now)
        elif (code == _TOO_MANY or code in _BAD_MARKET) and len(markets) > 1:
            channel.split(markets)
        elif code == _TOO_MANY:
            left = (*markets, *channel.todo)
            channel.todo = ()
            self._say(ERROR, f"{channel.name} takes no more markets ({said}): not recorded: {_shown(left)}")
        elif code in _BAD_MARKET and markets:
            self._say(ERROR, f"{channel.name} refuses {_shown(markets)} ({said}): not recorded")
        else:
            self._failed(channel, markets, said, now)

    def _failed(self, channel: Channel, markets: tuple[str, ...], why: str, now: float) -> None:
        channel.put_back(markets)
        if channel.wait(now) < TRIES:
            self._say(WARNING, f"Subscribing to {channel.name} failed ({why}): trying again")
        elif channel is self._books:
            self._hang_up = f"subscribing to {channel.name} failed {TRIES} times ({why})"
        else:
            channel.refused = True
            self._say(ERROR, f"{channel.name} cannot be subscribed to on this connection ({why})")

    def _died(self, channel: Channel, code: int, now: float) -> None:
        if not channel.open:
            return  # the error comes as a reply and as a fact
        if channel is self._books:
            self._awaited.clear()
        times = channel.died(now)
        why = f"error {code}" if code else "ended unasked"
        if times > TRIES:
            text = f"The subscription to {channel.name} dies again and again ({why}): subscribing ever more seldom"
            self._seldom(ERROR, f"dies {channel.name}", text, now)
        else:
            text = f"The subscription to {channel.name} is dead ({why}): subscribing again"
            self._seldom(WARNING, f"dead {channel.name}", text, now)

    def _pause(self, now: float) -> None:
        self._pause_until = now + min(2.0**self._pauses, 30.0)
        self._pauses += 1
        self._say(WARNING, f"Too many commands for the exchange: waiting {self._pause_until - now:g}s")

    def wake_at(self) -> float:
        """When `next` should be asked again if nothing is heard before, infinity for never."""
        if not self.connection:
            return float("inf")
        if self._under_way:
            return self._asked[self._under_way].due
        wanted = [channel.ready_at() for channel in self._channels]
        wanted.append(self._awaited.next_at() if self._books.sid else float("inf"))
        return max(min(wanted), self._pause_until)

    def next(self, now: float) -> Order | None:
        """What to tell the feed now, None for nothing; to be called until it is None."""
        if not self.connection:
            return None
        if self._under_way and self._asked[self._under_way].due <= now:
            self._overdue(now)
        if self._hang_up:
            order = HangUp(self.connection, self._hang_up)
            self.down()
            return order
        if self._under_way or now < self._pause_until:
            return None
        for channel in self._channels:
            if channel.ready_at() <= now:
                return self._subscribe(channel, now)
        return self._ask_for_books(now)

    def _overdue(self, now: float) -> None:
        channel, markets, _ = self._asked[self._under_way]
        self._end(self._under_way)
        if channel is not None:
            self._failed(channel, markets, f"no reply within {REPLY_SECONDS:g}s", now)

    def _subscribe(self, channel: Channel, now: float) -> Command:
        self._last_id = self._under_way = self._last_id + 1
        text, markets = channel.ask(self._last_id)
        self._asked[self._last_id] = Asked(channel, markets, now + REPLY_SECONDS)
        if channel is self._books and not self._turned:
            self._awaited.expect(markets, now)
        return Command(self.connection, self._last_id, text)

    def _ask_for_books(self, now: float) -> Order | None:
        due = self._awaited.due(now, self._chunk) if self._books.sid else []
        if not due:
            return None
        if hopeless := self._awaited.hopeless(due):
            order = HangUp(self.connection, f"no snapshot came of {_shown(hopeless)}")
            self.down()
            return order
        if doubtful := self._awaited.doubtful(due):
            text = f"No book has come of {_shown(doubtful)}: does it exist (yet)? Waiting for it"
            self._say(WARNING, text)
        self._awaited.asked(due, now)
        self._asked = {number: asked for number, asked in self._asked.items() if asked.due > now}
        self._last_id += 1
        self._asked[self._last_id] = Asked(None, tuple(due), now + REPLY_SECONDS)
        return Command(self.connection, self._last_id, get_snapshot(self._last_id, self._books.sid, due))

    def _seldom(self, level: int, kind: str, text: str, now: float) -> None:
        """As `_say`, at most once a minute for each `kind`."""
        if now - self._said_at.get(kind, float("-inf")) >= SAY_SECONDS:
            self._said_at[kind] = now
            self._say(level, text)

    def _say(self, level: int, text: str) -> None:
        self._notices.append(Notice(level, text))


def _shown(markets: Sequence[str]) -> str:
    rest = f" and {len(markets) - _SHOWN} more" if len(markets) > _SHOWN else ""
    return f"{list(markets[:_SHOWN])}{rest}"
