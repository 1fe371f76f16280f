"""What fills the journal until the recording is to end: the feed, the subscriber and, where it is wanted, the auditor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import trio

from kalshi_trio.journal.writer import Journal
from kalshi_trio.observe.stats import FeedStats
from kalshi_trio.protocol.links import Link, Order
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.protocol.state import State
from kalshi_trio.protocol.subscriptions import Subscriptions
from kalshi_trio.rest import Rest
from kalshi_trio.session import Session
from kalshi_trio.settings import Settings
from kalshi_trio.tasks.auditor import Auditor
from kalshi_trio.tasks.feed import Feed
from kalshi_trio.tasks.subscriber import run_subscriber
from kalshi_trio.transport.endpoint import Endpoint


@dataclass(slots=True)
class Feeding:
    """One session's. `state` is the builder's, read only; `stop` is called where a limit of the settings is reached.

    `full`: whether as many bytes wait for the journal's disk as may.
    """

    session: Session
    settings: Settings
    sign: Callable[[int], Endpoint]
    rest: Rest | None
    journal: Journal
    state: State
    stats: FeedStats
    full: Callable[[], bool]
    stop: Callable[[str], None]

    async def run(self, signals: trio.MemoryReceiveChannel[Signal]) -> None:
        """Until the session stops and all that was received before is in the journal. KeyRefused, in groups."""
        settings, session = self.settings, self.session
        links_in, links_out = trio.open_memory_channel[Link](16)
        orders_in, orders_out = trio.open_memory_channel[Order](16)
        feed = Feed(
            sign=self.sign,
            url=settings.ws_url,
            journal=self.journal,
            stopping=session.stopping,
            stop=self.stop,
            links=links_in,
            orders=orders_out,
            stats=self.stats,
            full=self.full,
            transport=settings.transport,
            frames=settings.frames,
        )
        async with trio.open_nursery() as nursery:
            wanted = Subscriptions(settings.markets)
            session.start_soon(nursery, "subscriber", run_subscriber, wanted, links_out, signals, orders_in)
            async with trio.open_nursery() as beside:
                if self.rest is not None and settings.audit:
                    note = partial(feed.aside, "rest")
                    auditor = Auditor(self.rest, settings.audit, self._whole, note, self.journal.room)
                    session.start_soon(beside, "auditor", auditor.run)
                with session.entry("feed"):
                    await feed.run()
                beside.cancel_scope.cancel(reason="the feed has ended")

    def _whole(self) -> list[str]:
        return [ticker for ticker, market in self.state.markets.items() if market.valid]
