"""Every named fault of the simulated exchange, survived: all that came is accounted for, each hole is said and healed.

Feed, subscriber and builder against the exchange itself over streams in memory, in virtual time; at the end every book
is compared with the exchange's own.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from fed import plain
from feed_help import Scene
from memory_exchange import MemoryExchange, gate, sign, virtual_ms, virtual_us
from trio.testing import MockClock

from kalshi_trio.exchange.faults import NAMES, Faults, Name
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.server import Exchange
from kalshi_trio.exchange.shows import FloorShow
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.protocol.subscriptions import Subscriptions
from kalshi_trio.tasks.subscriber import run_subscriber
from kalshi_trio.transport.seam import Clock

MARKETS = ("A", "B", "C", "D")
SECONDS = 45.0

HOLES: dict[Name, set[str]] = {
    "drop": {"sequence"},
    "repeat": {"sequence"},
    "swap": {"sequence"},
    "flip": {"unreadable", "sequence"},  # the seed's bit breaks its JSON; no frame has a checksum
    "malformed": {"unreadable", "sequence"},
    "binary": set(),
    "not_utf8": {"unreadable", "sequence"},
    "huge_ok": set(),
    "huge": set(),
    "unknown_type": set(),
    "new_field": set(),
    "hostile": set(),
    "error_10": {"channel_error"},
    "error_25": {"overflow"},
    "unsubscribed": {"channel_error"},
    "null_fields": set(),
    "numbers": set(),
    "several": set(),
    "renamed_sides": {"unreadable"},
    "seq_restart": {"sequence"},
    "seq_back": {"sequence"},
    "yes_flip": {"impossible_book"},
    "delay": set(),
    "cut": {"reconnect"},
    "close_1001": {"reconnect"},
    "deaf": {"reconnect"},
}
"""Fault → the causes of the holes that it leaves."""
LASTING: tuple[Name, ...] = ("yes_flip",)
"""Faults after which no book can be whole on that connection."""


class World:
    """A recorder without disk and sinks, and its exchange."""

    def __init__(
        self, nursery: trio.Nursery, faults: Faults, markets: tuple[str, ...] = MARKETS, rate: float = 60.0
    ) -> None:
        self.floor = GeneratedFloor(markets, 1, rate)
        self.exchange = Exchange(FloorShow(self.floor, 1.0, virtual_us), gate(), faults, wall_ms=virtual_ms)
        self.scene = Scene(nursery, ())
        feed = self.scene.feed
        feed.dial, feed.sign = MemoryExchange(nursery, self.exchange).dial, sign
        feed.clock = Clock(lambda: virtual_us() * 1000, lambda: round(trio.current_time() * 1e9))
        self.builder = Builder("a session")
        self._read = 0
        started = {"event": "started", "markets": list(markets)}
        self.scene.journal.append("session", 0, virtual_us() * 1000, 0, [json.dumps(started).encode()])
        self._signals, signals_out = trio.open_memory_channel[Signal](1000)
        self.scene.start()
        wanted = Subscriptions(markets)
        nursery.start_soon(run_subscriber, wanted, self.scene.links, signals_out, self.scene.orders)
        nursery.start_soon(self._build)

    async def _build(self) -> None:
        while not self.scene.done.is_set():
            await trio.sleep(0.02)
            for signal in self.look():
                self._signals.send_nowait(signal)

    def look(self) -> list[Signal]:
        """Brings the builder up to the journal's end."""
        records = self.scene.journal.records
        for one in records[self._read :]:
            self.builder.feed(one)
        self._read = len(records)
        return self.builder.told()[1]

    def gaps(self) -> list[dict[str, Any]]:
        """The rows of that table."""
        tables = [made.rows().tables for made in self.builder.take()]
        return [row for some in tables if "gaps" in some for row in plain(some["gaps"])]

    def books(self) -> dict[str, dict[str, dict[int, int]]]:
        """Ours, where they are valid: side → price → count."""
        markets = [self.builder.state.markets[ticker] for ticker in MARKETS]
        return {m.ticker: {"yes": m.book.yes.levels, "no": m.book.no.levels} for m in markets if m.valid}


async def lived(faults: Faults, nursery: trio.Nursery) -> World:
    """Three quarters of a minute with these faults; it still runs, and all that was sent has been read."""
    world = World(nursery, faults)
    await trio.sleep(SECONDS)
    await trio.testing.wait_all_tasks_blocked()
    world.look()
    return world


def concerned(gaps: list[dict[str, Any]], event: str) -> dict[int, set[str]]:
    """Hole (by the frame that opened it) → its markets."""
    found: dict[int, set[str]] = {}
    for row in gaps:
        if row["event"] == event:
            found.setdefault(row["gap_frame"], set()).update(row["markets"])
    return found


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange need not look at its clock 200 times a second."""
    monkeypatch.setattr("kalshi_trio.exchange.shows.TICK", 0.05)


@pytest.mark.parametrize("name", NAMES)
async def test_a_fault_is_survived(name: Name, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    faults = Faults({60: name}, seed=3, seconds=5.0)
    world = await lived(faults, nursery)

    assert [done.name for done in faults.done] == [name]
    tally = world.builder.state.tally
    journalled = len(world.scene.journal.of("frame"))
    assert world.scene.stats.received == journalled == tally.received > 200
    assert tally.received == tally.decoded + tally.control + tally.unknown + tally.refused
    gaps = world.gaps()
    assert {row["cause"] for row in gaps} == HOLES[name]
    if name in LASTING:
        assert world.books() == {}
        nursery.cancel_scope.cancel(reason="the test is done")
        return
    assert concerned(gaps, "opened") == concerned(gaps, "healed")
    assert world.books() == {ticker: market.book.sides for ticker, market in world.floor.markets.items()}
    nursery.cancel_scope.cancel(reason="the test is done")
