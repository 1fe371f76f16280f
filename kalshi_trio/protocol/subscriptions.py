"""What we want to hear, what the exchange has confirmed, and what has to be asked (again): a pure state machine.

Time is an argument, in seconds of any steady clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kalshi_trio.protocol.commands import FIRST_ID, get_snapshot, subscribe
from kalshi_trio.protocol.signals import BooksLost, BookWhole, Replied, Signal, SubscriptionLost

BOOKS, LIFECYCLE = "orderbook_delta", "market_lifecycle_v2"
CHOSEN = (BOOKS, "trade", "ticker")
CHUNK = 200
"""Markets a command: 200 on one subscription were seen to work, no limit is published."""
SNAPSHOT_WITHIN = 5.0
"""Seconds in which a snapshot should come, doubled with each question, up to a minute."""
LONGEST_WAIT = 60.0
QUESTIONS = 5
"""A book that was whole before and is not answered so often calls for a new connection."""
REPLY_WITHIN = 20.0
TOO_MANY_MARKETS, TOO_MANY_REQUESTS = 26, 27


@dataclass(slots=True)
class Missing:
    """A market whose book is awaited."""

    due: float
    asked: int = 0
    was_whole: bool = False


@dataclass(slots=True)
class Pending:
    """A command that no reply has come for."""

    channel: str
    markets: tuple[str, ...]
    due: float


@dataclass(slots=True)
class Steps:
    """What is to be done now."""

    commands: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reconnect: str = ""


class Subscriptions:
    """One connection's. `open` when it is up, `hear` each fact, `tick` at `next_due`; all return the next steps."""

    def __init__(self, markets: Sequence[str], chunk: int = CHUNK) -> None:
        self._markets = self.markets = tuple(markets)
        self._chunk = chunk
        self._last = FIRST_ID - 1
        self._pending: dict[int, Pending] = {}
        self._missing: dict[str, Missing] = {}
        self._sid = 0
        self._seen: set[str] = set()
        self._warned: set[str] = set()
        self._pause_until = 0.0

    def open(self, now: float) -> Steps:
        """All channels, the books first."""
        steps = Steps()
        for channel in CHOSEN:
            self._subscribe(steps, channel, self._markets, now)
        self._send(steps, LIFECYCLE, (), now)
        return steps

    def _subscribe(self, steps: Steps, channel: str, markets: Sequence[str], now: float) -> None:
        for start in range(0, len(markets), self._chunk):
            part = tuple(markets[start : start + self._chunk])
            self._send(steps, channel, part, now)
            if channel == BOOKS:
                for market in part:
                    known = self._missing.get(market)
                    self._missing[market] = known or Missing(now + SNAPSHOT_WITHIN, 0, market in self._seen)

    def _send(self, steps: Steps, channel: str, markets: tuple[str, ...], now: float) -> None:
        self._last += 1
        number, text = self._last, subscribe(self._last, channel, None if channel == LIFECYCLE else markets)
        self._pending[number] = Pending(channel, markets, now + REPLY_WITHIN)
        steps.commands.append(text)

    def hear(self, fact: Signal, now: float) -> Steps:
        """Takes a fact that the builder told."""
        steps = Steps()
        match fact:
            case BookWhole():
                self._seen.add(fact.market)
                self._missing.pop(fact.market, None)
                self._sid = fact.sid
            case BooksLost():
                self._sid = fact.sid
                for market in fact.markets:
                    self._missing.setdefault(market, Missing(now, 0, was_whole=True))
            case SubscriptionLost():
                markets = () if fact.channel == LIFECYCLE else self._markets
                self._sid = 0 if fact.channel == BOOKS else self._sid
                self._subscribe(steps, fact.channel, markets, now) if markets else self._send(
                    steps, fact.channel, (), now
                )
            case Replied():
                self._reply(steps, fact, now)
        return steps

    def _reply(self, steps: Steps, reply: Replied, now: float) -> None:
        pending = self._pending.pop(reply.id, None)
        if reply.kind == "subscribed" and reply.channel == BOOKS:
            self._sid = reply.sid
        if pending is None or reply.kind != "error":
            return
        if reply.code == TOO_MANY_MARKETS and len(pending.markets) > 1:
            self._chunk = max(1, len(pending.markets) // 2)
            self._subscribe(steps, pending.channel, pending.markets, now)
        elif reply.code == TOO_MANY_REQUESTS:
            self._pause_until = now + SNAPSHOT_WITHIN
            self._pending[reply.id] = Pending(pending.channel, pending.markets, self._pause_until)
        elif pending.channel:
            text = (
                f"The exchange refused {pending.channel} for {len(pending.markets)} markets: {reply.code} {reply.text}"
            )
            steps.warnings.append(text)

    def next_due(self) -> float:
        """When `tick` has something to do, infinity for never."""
        dues = [missing.due for missing in self._missing.values()] if self._sid else []
        dues += [pending.due for pending in self._pending.values()]
        return max(min(dues, default=float("inf")), self._pause_until)

    def tick(self, now: float) -> Steps:
        """Asks for what is overdue."""
        steps = Steps()
        if now < self._pause_until:
            return steps
        for number, pending in [item for item in self._pending.items() if item[1].due <= now]:
            del self._pending[number]
            if pending.channel:
                self._send(steps, pending.channel, pending.markets, now)
        due = [market for market, missing in self._missing.items() if missing.due <= now] if self._sid else []
        for start in range(0, len(due), self._chunk):
            self._ask(steps, due[start : start + self._chunk], now)
        return steps

    def _ask(self, steps: Steps, markets: list[str], now: float) -> None:
        for market in markets:
            missing = self._missing[market]
            missing.asked += 1
            missing.due = now + min(LONGEST_WAIT, SNAPSHOT_WITHIN * 2**missing.asked)
            if missing.was_whole and missing.asked > QUESTIONS:
                steps.reconnect = f"no snapshot of {market} after {QUESTIONS} questions"
            elif not missing.was_whole and market not in self._warned:
                self._warned.add(market)
                steps.warnings.append(f"No book of {market} has come: does this market exist (yet)? Waiting for it")
        self._last += 1
        number, text = self._last, get_snapshot(self._last, self._sid, markets)
        self._pending[number] = Pending("", tuple(markets), now + REPLY_WITHIN)
        steps.commands.append(text)
