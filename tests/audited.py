"""The simulated exchange, audited while it is recorded: feed, subscriber, auditor and builder in virtual time.

Websocket and REST meet the same floor; between them are the real client of each and streams or a transport in memory.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import httpx
import trio
from fed import plain
from feed_help import MemoryJournal
from memory_exchange import URL, MemoryExchange, floor_show, gate, sign, signer, virtual_ms, virtual_us

from kalshi_trio.exchange.faults import Faults
from kalshi_trio.exchange.http import Request
from kalshi_trio.exchange.rest import ROOT, RestDesk
from kalshi_trio.exchange.server import Exchange
from kalshi_trio.observe.stats import FeedStats
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.links import Link, Order
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import ROW_SCHEMAS
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.protocol.subscriptions import Subscriptions
from kalshi_trio.rest import Rest
from kalshi_trio.tasks.auditor import Auditor
from kalshi_trio.tasks.feed import Feed
from kalshi_trio.tasks.subscriber import run_subscriber
from kalshi_trio.transport.seam import Clock

MARKETS = ("KXTEST-26NOV24-A", "KXTEST-26NOV24-B", "KXTEST-26NOV24-C")


class Late(trio.abc.Stream):
    """A stream whose bytes come `seconds` late, in their order: a websocket that lags behind REST."""

    def __init__(self, stream: trio.abc.Stream, seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        await trio.sleep(self._seconds)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class Audited:
    """All of it in one nursery. `lag` is the websocket's, `desk.delay` the way of REST's answers."""

    def __init__(
        self,
        nursery: trio.Nursery,
        a_minute: int,
        *,
        rate: float = 100.0,
        lag: float = 0.0,
        faults: Faults | None = None,
    ) -> None:
        show = floor_show(*MARKETS, rate=rate)
        self.desk = RestDesk(show, gate(), wall_ms=virtual_ms)
        self.exchange = MemoryExchange(nursery, Exchange(show, gate(), faults, wall_ms=virtual_ms))
        self.journal = MemoryJournal()
        self.builder = Builder("s")
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ROW_SCHEMAS}
        self.stopping = trio.Event()
        self.lag = lag
        links_in, links = trio.open_memory_channel[Link](16)
        orders_in, orders = trio.open_memory_channel[Order](16)
        self._signals, signals = trio.open_memory_channel[Signal](1000)
        clock = Clock(lambda: virtual_us() * 1000, lambda: round(trio.current_time() * 1e9))
        started = json.dumps({"event": "started", "markets": MARKETS}).encode()
        self.journal.append("session", 0, clock.wall_ns(), clock.mono_ns(), [started])
        self.feed = Feed(
            sign=sign,
            url=URL,
            journal=self.journal,
            stopping=self.stopping,
            stop=lambda _: self.stopping.set(),
            links=links_in,
            orders=orders,
            stats=FeedStats(),
            dial=self._dial,
            clock=clock,
        )
        transport = httpx.MockTransport(self._handle)
        url = f"http://exchange.test{ROOT}"
        rest = Rest(url, signer(), transport=transport, wall_ns=clock.wall_ns)
        self.auditor = Auditor(rest, a_minute, self._whole, partial(self.feed.aside, "rest"), self.journal.room)
        nursery.start_soon(run_subscriber, Subscriptions(MARKETS), links, signals, orders_in)
        nursery.start_soon(self._build)
        nursery.start_soon(self.auditor.run)
        nursery.start_soon(self.feed.run)

    async def _dial(self, endpoint: object) -> trio.abc.Stream:
        del endpoint
        stream = await self.exchange.dial()
        return Late(stream, self.lag) if self.lag else stream

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        headers = {name.upper(): value for name, value in request.headers.items()}
        response = await self.desk.answer(Request(request.method, request.url.raw_path.decode(), headers))
        return httpx.Response(response.status, content=response.body)

    def _whole(self) -> list[str]:
        return [ticker for ticker, market in self.builder.state.markets.items() if market.valid]

    async def _build(self) -> None:
        while True:
            await trio.sleep(0.01)
            for records in self.fresh(self.builder):
                self.builder.feed(records)
            for signal in self.builder.told()[1]:
                self._signals.send_nowait(signal)
            take(self.builder, self.rows)

    def fresh(self, builder: Builder) -> list[Records]:
        """Records that a builder has not seen."""
        records, at = self.journal.records, len(self.journal.records)
        while at and records[at - 1].first > builder.state.frame:
            at -= 1
        return records[at:]

    def found(self, *columns: str) -> list[Any]:
        """These columns of the audits so far."""
        rows = [tuple(row[name] for name in columns) for row in self.rows["audits"]]
        return [row[0] for row in rows] if len(columns) == 1 else rows


def take(builder: Builder, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Adds what the builder has made."""
    for made in builder.take():
        for name, table in made.rows().tables.items():
            rows[name] += plain(table)
