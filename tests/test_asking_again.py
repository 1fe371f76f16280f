"""Feed, builder and subscriber in their circle, in virtual time: what is lost is noticed, asked for, and made whole."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import trio
from feed_help import Scene
from trio.testing import MockClock
from trio_websocket import ConnectionClosed
from wire_help import Peer

from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.protocol.subscriptions import Subscriptions
from kalshi_trio.tasks.subscriber import run_subscriber

MARKETS = ("A", "B", "C")
Hook = Callable[["Desk", dict[str, Any]], bool]


class Desk:
    """A small exchange: one sid a channel, a seq a sid, a book of one level a market."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.hook: Hook = lambda *_: False
        """Sees each command first; True: it is not answered."""
        self.peers: list[Peer] = []
        self._seq: dict[int, int] = defaultdict(int)
        self._sids: list[str] = []

    async def serve(self, peer: Peer) -> None:
        self.peers.append(peer)
        self._seq.clear()
        self._sids.clear()
        while True:
            command = json.loads(await peer.websocket.get_message())
            self.asked.append(command)
            if not self.hook(self, command):
                await self._answer(command)

    async def _answer(self, command: dict[str, Any]) -> None:
        params, number = command["params"], command["id"]
        if command["cmd"] == "subscribe":
            (channel,) = params["channels"]
            if channel not in self._sids:
                self._sids.append(channel)
            await self.say({"type": "subscribed", "id": number, "msg": {"channel": channel, "sid": self.sid(channel)}})
            number = 0
            if channel != "orderbook_delta":
                return
        for market in params["market_tickers"]:
            await self.snapshot(market, number)

    def sid(self, channel: str) -> int:
        return self._sids.index(channel) + 1

    def seq(self) -> int:
        """The next number of the books; calling it for nothing loses a frame."""
        self._seq[1] += 1
        return self._seq[1]

    async def snapshot(self, market: str, number: int = 0) -> None:
        levels = {"yes_dollars_fp": [["0.4000", "10.00"]]}
        told = {"id": number} if number else {}
        body = {"market_ticker": market, **levels}
        await self.say({"type": "orderbook_snapshot", "sid": 1, "seq": self.seq(), **told, "msg": body})

    async def delta(self, market: str) -> None:
        change = {"price_dollars": "0.4000", "delta_fp": "1.00", "side": "yes"}
        body = {"market_ticker": market, **change}
        await self.say({"type": "orderbook_delta", "sid": 1, "seq": self.seq(), "msg": body})

    async def say(self, message: dict[str, Any]) -> None:
        await self.peers[-1].send(json.dumps(message) + "\n")


class Circle:
    """All three around a desk; `builder` is read only."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.desk = Desk()
        self.scene = Scene(nursery, (self._serve,))
        self.builder = Builder("a session")
        started = {"event": "started", "markets": list(MARKETS)}
        self.scene.journal.append("session", 0, 1_790_000_000_000_000_000, 0, [json.dumps(started).encode()])
        self._signals, signals_out = trio.open_memory_channel[Signal](1000)
        self.scene.start()
        wanted = Subscriptions(MARKETS)
        nursery.start_soon(run_subscriber, wanted, self.scene.links, signals_out, self.scene.orders)
        nursery.start_soon(self._build)

    async def _serve(self, peer: Peer) -> None:
        try:
            await self.desk.serve(peer)
        except ConnectionClosed:
            return

    async def _build(self) -> None:
        read = 0
        while not self.scene.done.is_set():
            await trio.sleep(0.01)
            fresh, read = self.scene.journal.records[read:], len(self.scene.journal.records)
            for records in fresh:
                self.builder.feed(records)
            for signal in self.builder.told()[1]:
                self._signals.send_nowait(signal)

    @property
    def valid(self) -> set[str]:
        return {market.ticker for market in self.builder.state.markets.values() if market.valid}

    def snapshots_asked(self) -> list[list[str]]:
        return [c["params"]["market_tickers"] for c in self.desk.asked if c["params"].get("action") == "get_snapshot"]


async def test_every_book_comes_and_nothing_is_asked_twice(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    circle = Circle(nursery)
    await trio.sleep(70)

    assert circle.valid == set(MARKETS)
    assert len(circle.desk.asked) == 4
    commands = [json.loads(data) for data in circle.scene.journal.of("command")]
    assert commands == circle.desk.asked
    await circle.scene.finish()


async def test_a_gap_is_healed_by_one_question_for_all_books(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    circle = Circle(nursery)
    await trio.sleep(1)
    circle.desk.seq()
    await circle.desk.delta("B")
    await trio.sleep(0.05)
    assert circle.valid == set()
    await trio.sleep(1)

    assert circle.valid == set(MARKETS)
    assert [sorted(asked) for asked in circle.snapshots_asked()] == [list(MARKETS)]
    assert (circle.builder.state.gaps_opened, circle.builder.state.gaps_healed) == (1, 1)
    await circle.scene.finish()


async def test_a_book_that_never_came_is_asked_for(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    circle = Circle(nursery)

    async def all_but_one(desk: Desk, market: str, number: int = 0) -> None:
        if market != "B" or number:
            await Desk.snapshot(desk, market, number)

    circle.desk.snapshot = all_but_one.__get__(circle.desk)  # type: ignore[method-assign]  # one snapshot is lost
    await trio.sleep(4)
    assert circle.valid == {"A", "C"}
    await trio.sleep(2)

    assert circle.valid == set(MARKETS)
    assert circle.snapshots_asked() == [["B"]]
    await circle.scene.finish()


@pytest.mark.parametrize("code", [10, 25])
async def test_a_dead_subscription_is_made_again_on_the_same_connection(
    code: int, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    circle = Circle(nursery)
    await trio.sleep(1)
    await circle.desk.say({"type": "error", "sid": 1, "seq": circle.desk.seq(), "msg": {"code": code, "msg": "dead"}})
    await trio.sleep(5)

    assert circle.valid == set(MARKETS)
    assert [c["params"].get("channels") for c in circle.desk.asked[4:]] == [["orderbook_delta"]]
    assert circle.scene.stats.connection == 1
    await circle.scene.finish()


async def test_an_exchange_that_gives_no_book_back_is_called_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    circle = Circle(nursery)
    await trio.sleep(1)
    circle.desk.hook = lambda desk, _: desk.peers[-1].number == 1
    circle.desk.seq()
    await circle.desk.delta("A")
    await trio.sleep(60)

    assert circle.valid == set(MARKETS)
    assert circle.scene.stats.connection == 2
    assert "no snapshot came" in circle.scene.journal.events("closed")[0]["reason"]
    await circle.scene.finish()


async def test_a_cut_is_a_hole_that_the_next_connection_heals(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    circle = Circle(nursery)
    await trio.sleep(1)
    await circle.desk.peers[-1].cut()
    await trio.sleep(5)

    assert circle.valid == set(MARKETS)
    state = circle.builder.state
    assert (circle.scene.stats.connection, state.gaps_opened, state.gaps_healed) == (2, 1, 1)
    await circle.scene.finish()
    await trio.sleep(1)
    assert state.gaps_opened == 1
