"""The subscriber: asks for what is wanted on each new connection, and again for what did not come."""

from __future__ import annotations

import trio

from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.links import Link, Order, Up
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.protocol.subscriptions import Subscriptions

log = get_logger(__name__)


async def run_subscriber(
    subscriptions: Subscriptions,
    links: trio.MemoryReceiveChannel[Link],
    signals: trio.MemoryReceiveChannel[Signal],
    orders: trio.MemorySendChannel[Order],
) -> None:
    """Until `links` ends, then closes all three. It waits for nobody but time, so neither feed nor builder can be held up.

    An order that finds no room in `orders` is as good as one that got no reply: it is asked again when that is due.
    """
    with links, signals, orders:
        subscriber = _Subscriber(subscriptions, orders)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscriber.hear, signals)
            nursery.start_soon(subscriber.wake)
            async for link in links:
                subscriber.link(link)
            nursery.cancel_scope.cancel(reason="the feed has ended")


class _Subscriber:
    def __init__(self, subscriptions: Subscriptions, orders: trio.MemorySendChannel[Order]) -> None:
        self._subscriptions = subscriptions
        self._orders = orders
        self._sleep = trio.CancelScope()

    def link(self, link: Link) -> None:
        if isinstance(link, Up):
            self._subscriptions.up(link.connection)
        else:
            self._subscriptions.down()
        self._act()

    async def hear(self, signals: trio.MemoryReceiveChannel[Signal]) -> None:
        async for signal in signals:
            self._subscriptions.heard(signal, trio.current_time())
            if not signals.statistics().current_buffer_used:
                self._act()

    async def wake(self) -> None:
        """Acts when something is due."""
        while True:
            with trio.CancelScope(deadline=self._subscriptions.wake_at()) as self._sleep:
                await trio.sleep_forever()
            self._act()

    def _act(self) -> None:
        while (order := self._subscriptions.next(trio.current_time())) is not None:
            try:
                self._orders.send_nowait(order)
            except trio.WouldBlock:
                log.warning("The connection takes no commands: %s", order)
        for notice in self._subscriptions.told():
            log.log(notice.level, "%s", notice.text)
        self._sleep.deadline = self._subscriptions.wake_at()
