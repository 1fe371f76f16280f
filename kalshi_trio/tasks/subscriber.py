"""The subscriber: asks for what is wanted on each new connection, and again for what did not come."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.links import Command, Down, HangUp, Link, Order, Up
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.protocol.subscriptions import Steps, Subscriptions

log = get_logger(__name__)


async def run_subscriber(
    wanted: Subscriptions,
    links: trio.MemoryReceiveChannel[Link],
    signals: trio.MemoryReceiveChannel[Signal],
    orders: trio.MemorySendChannel[Order],
) -> None:
    """Until `links` ends. It never stops taking facts: what it has to say waits in `orders`, a connection's at most."""
    with links, signals, orders:
        async with trio.open_nursery() as nursery:
            subscriber = _Subscriber(wanted.markets, orders)
            nursery.start_soon(subscriber.hear, signals)
            nursery.start_soon(subscriber.watch)
            async for link in links:
                subscriber.link(link)
            nursery.cancel_scope.cancel(reason="the feed has ended")


class _Subscriber:
    def __init__(self, markets: Sequence[str], orders: trio.MemorySendChannel[Order]) -> None:
        self._markets = markets
        self._orders = orders
        self._connection = 0
        self._state: Subscriptions | None = None
        self._changed = trio.Event()

    def link(self, link: Link) -> None:
        """A connection is up or down."""
        if isinstance(link, Up):
            self._connection, self._state = link.connection, Subscriptions(self._markets)
            log.info("Subscribing to markets: %s", list(self._markets))
            self._do(self._state.open(trio.current_time()))
        elif isinstance(link, Down):
            self._state = None

    async def hear(self, signals: trio.MemoryReceiveChannel[Signal]) -> None:
        """Facts of the open connection; those of older ones are history."""
        async for fact in signals:
            if self._state is not None and fact.connection == self._connection:
                self._do(self._state.hear(fact, trio.current_time()))

    async def watch(self) -> None:
        """Does what is due when it is."""
        while True:
            due = self._state.next_due() if self._state is not None else float("inf")
            self._changed = trio.Event()
            with trio.move_on_at(due):
                await self._changed.wait()
                continue
            if self._state is not None:
                self._do(self._state.tick(trio.current_time()))

    def _do(self, steps: Steps) -> None:
        for warning in steps.warnings:
            log.warning("%s", warning)
        orders: list[Order] = [Command(self._connection, 0, text) for text in steps.commands]
        if steps.reconnect:
            orders.append(HangUp(self._connection, steps.reconnect))
        for order in orders:
            try:
                self._orders.send_nowait(order)
            except trio.WouldBlock:
                log.warning("The exchange takes no commands; one was dropped and will be asked again")
            except trio.BrokenResourceError:
                return
        self._changed.set()
