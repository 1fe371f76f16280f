"""The subscriber in virtual time: between channels, with nothing but time to wait for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from kalshi_trio.protocol.links import Command, Down, HangUp, Link, Order, Up
from kalshi_trio.protocol.signals import BooksLost, BookWhole, Replied, Signal
from kalshi_trio.protocol.subscriptions import Subscriptions
from kalshi_trio.tasks.subscriber import run_subscriber


@dataclass
class Scene:
    """The other ends of the subscriber's channels."""

    links: trio.MemorySendChannel[Link]
    signals: trio.MemorySendChannel[Signal]
    orders: trio.MemoryReceiveChannel[Order]

    async def command(self) -> Command:
        """The next command; none may be longer than a quarter of an hour in coming."""
        with trio.fail_after(900):
            order = await self.orders.receive()
        assert isinstance(order, Command)
        return order

    async def accept(self, channels: int = 4) -> None:
        """Says yes to so many commands."""
        for sid in range(1, channels + 1):
            order = await self.command()
            said = ("orderbook_delta" if sid == 1 else "another", 0, "", ())
            await self.signals.send(Replied(order.connection, order.id, "subscribed", sid, *said))


@asynccontextmanager
async def subscribing(*markets: str, orders: int = 16) -> AsyncIterator[Scene]:
    links_in, links_out = trio.open_memory_channel[Link](16)
    signals_in, signals_out = trio.open_memory_channel[Signal](16)
    orders_in, orders_out = trio.open_memory_channel[Order](orders)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_subscriber, Subscriptions(markets), links_out, signals_out, orders_in)
        yield Scene(links_in, signals_in, orders_out)
        links_in.close()


async def test_each_connection_is_asked_for_everything(autojump_clock: MockClock) -> None:
    async with subscribing("A") as scene:
        for connection in (1, 2):
            await scene.links.send(Up(connection))
            order = await scene.command()
            assert order.connection == connection
            assert json.loads(order.text)["params"]["market_tickers"] == ["A"]
            await scene.links.send(Down(connection))


async def test_what_is_due_is_asked_without_anything_being_heard(autojump_clock: MockClock) -> None:
    async with subscribing("A") as scene:
        await scene.links.send(Up(1))
        await scene.accept()
        asked = json.loads((await scene.command()).text)

        assert asked["params"]["action"] == "get_snapshot"
        assert trio.current_time() == pytest.approx(5)


async def test_a_lost_book_is_asked_for(autojump_clock: MockClock) -> None:
    async with subscribing("A") as scene:
        await scene.links.send(Up(1))
        await scene.accept()
        await scene.signals.send(BookWhole(1, 1, "A"))
        await trio.sleep(1000)
        await scene.signals.send(BooksLost(1, 1, ("A",), "sequence"))

        assert json.loads((await scene.command()).text)["params"]["market_tickers"] == ["A"]
        assert trio.current_time() == pytest.approx(1000.1)


async def test_a_feed_that_takes_no_orders_holds_up_neither_links_nor_facts(autojump_clock: MockClock) -> None:
    async with subscribing(*"ABCDEFGH", orders=0) as scene:
        with trio.fail_after(1):
            for connection in range(1, 100):
                await scene.links.send(Up(connection))
                for _ in range(20):
                    await scene.signals.send(BooksLost(connection, 1, ("A",), "sequence"))
                await scene.links.send(Down(connection))


async def test_an_order_that_found_no_room_is_asked_again(autojump_clock: MockClock) -> None:
    async with subscribing("A", orders=0) as scene:
        await scene.links.send(Up(1))
        await trio.sleep(1)
        channels: set[str] = set()
        while "orderbook_delta" not in channels:
            channels |= set(json.loads((await scene.command()).text)["params"]["channels"])

    assert trio.current_time() <= 30


async def test_a_connection_that_cannot_be_subscribed_to_is_left(autojump_clock: MockClock) -> None:
    async with subscribing("A") as scene:
        await scene.links.send(Up(1))
        orders: list[Order] = []
        with trio.fail_after(120):
            while not any(isinstance(order, HangUp) for order in orders):
                orders.append(await scene.orders.receive())

    assert orders[-1].connection == 1


async def test_it_ends_with_the_feed_and_closes_its_channels(autojump_clock: MockClock) -> None:
    async with subscribing("A") as scene:
        await wait_all_tasks_blocked()

    with pytest.raises(trio.EndOfChannel):
        await scene.orders.receive()
    with pytest.raises(trio.BrokenResourceError):
        await scene.signals.send(BookWhole(1, 1, "A"))


async def test_warnings_reach_the_log(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with subscribing("NO-SUCH-MARKET") as scene:
        await scene.links.send(Up(1))
        await scene.accept()
        await trio.sleep(30)

    assert "does it exist (yet)?" in caplog.text
