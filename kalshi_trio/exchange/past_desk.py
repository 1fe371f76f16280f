"""One client's subscriptions to the past: its own sids and numbers around recorded frames."""

from __future__ import annotations

import json
from collections.abc import Iterable

from kalshi_trio.exchange.desk import BOOKS, LIFECYCLE, Desk, Subscription
from kalshi_trio.exchange.market import ONE_DOLLAR_E4
from kalshi_trio.exchange.past import Lacking, Past, PastEvent, Played
from kalshi_trio.exchange.rules import Rules
from kalshi_trio.protocol.numbers import price_text, scaled

SNAPSHOT = "orderbook_snapshot"
MOST_ASKED = 100
"""Unanswered commands for one market's snapshot that are remembered: a client that asks on and on gets no more answers."""


class PastDesk(Desk):
    """As any desk, but events are recorded frames, and no delta comes before its market's snapshot."""

    def __init__(self, past: Past, rules: Rules) -> None:
        super().__init__(past, rules)
        self._past = past
        self._based: set[tuple[int, str]] = set()
        self._asked: dict[tuple[int, str], list[int]] = {}
        """Commands for a snapshot that the recording had none for yet, by sid and market."""

    @property
    def listens(self) -> bool:
        """Whether the client has subscribed to anything."""
        return bool(self._subs)

    def _snapshots(self, sub: Subscription, tickers: Iterable[str], number: int = 0) -> list[bytes]:
        """Of a book that is not whole the next recorded snapshot is the first one that the client gets, as the answer."""
        asked = {(sub.sid, ticker) for ticker in tickers}
        whole = {(sid, ticker) for sid, ticker in asked if ticker in self._past.markets}
        self._based = self._based - asked | whole
        for key in asked - whole if number else ():
            numbers = self._asked.setdefault(key, [])
            if len(numbers) < MOST_ASKED:
                numbers.append(number)
        return super()._snapshots(sub, [ticker for ticker in tickers if (sub.sid, ticker) in whole], number)

    def hear(self, happened: Iterable[PastEvent]) -> list[bytes]:
        """What this client hears of them."""
        out: list[bytes] = []
        for event in happened:
            if isinstance(event, Lacking):
                for sub in self._subs.values():
                    if event.channel in {"", sub.channel}:
                        sub.skip(event.numbers)
            else:
                listening = self._subs.get(event.channel)
                if listening is not None and self._wants(listening, event):
                    answers = self._asked.pop((listening.sid, event.ticker), None) if event.kind == SNAPSHOT else None
                    out += [self._frame(listening, event, number) for number in answers or (0,)]
        return out

    def _wants(self, sub: Subscription, event: Played) -> bool:
        if sub.channel == LIFECYCLE:
            return True
        if sub.channel != BOOKS:
            return not sub.markets or event.ticker in sub.markets
        if event.ticker not in sub.markets:
            return False
        if event.kind == SNAPSHOT:
            self._based.add((sub.sid, event.ticker))
        return (sub.sid, event.ticker) in self._based

    def _frame(self, sub: Subscription, event: Played, number: int = 0) -> bytes:
        seq = sub.old(event.behind) if event.behind else sub.seq()
        numbered = b'"seq":%d,' % seq if seq else b""
        # The frames of the older eras know no `use_yes_price`.
        turned = sub.yes_price and sub.channel == BOOKS and self._rules.era == "current"
        msg = flipped(event.msg) if turned else event.msg
        answers = b'"id":%d,' % number if number else b""
        return b'{"type":"%s",%s"sid":%d,%s"msg":%s}\n' % (event.kind.encode(), answers, sub.sid, numbered, msg)


def flipped(msg: bytes) -> bytes:
    """A book's message with the NO side's prices as the YES leg's, as `use_yes_price` asks for it."""
    told = json.loads(msg)
    if told.get("side") == "no":
        told["price_dollars"] = _other(told["price_dollars"])
    if "no_dollars_fp" in told:
        told["no_dollars_fp"] = [[_other(price), size] for price, size in reversed(told["no_dollars_fp"])]
    return json.dumps(told, separators=(",", ":")).encode()


def _other(price: str) -> str:
    return price_text(ONE_DOLLAR_E4 - scaled(price, 4))
