"""A feed between a scripted server and a journal in memory, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio
from wire_help import URL, Peer, Refuse, Script, Server, close, frame

from kalshi_trio.observe.stats import FeedStats
from kalshi_trio.protocol.links import Link, Order
from kalshi_trio.protocol.records import Kind, Records
from kalshi_trio.tasks.feed import Feed
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.seam import Clock, Transport

WALL_NS = 1_790_000_000_000_000_000
"""What a virtual clock's 0 means to the wall clock."""


def wall_ns() -> int:
    return WALL_NS + round(trio.current_time() * 1e9)


class MemoryJournal:
    """Keeps records; `full` makes `room` wait."""

    def __init__(self) -> None:
        self.records: list[Records] = []
        self.last = 0
        self.unwritable_since: float | None = None
        self.space = trio.Event()
        self.space.set()

    @property
    def full(self) -> bool:
        return not self.space.is_set()

    @full.setter
    def full(self, full: bool) -> None:
        if full:
            self.space = trio.Event()
        else:
            self.space.set()

    def append(self, kind: Kind, connection: int, ts_recv: int, mono_ns: int, data: Sequence[bytes]) -> Records:
        records = Records(self.last + 1, kind, connection, ts_recv, mono_ns, data)
        self.records.append(records)
        self.last = records.last
        return records

    async def room(self) -> None:
        await trio.lowlevel.checkpoint()
        await self.space.wait()

    def of(self, kind: Kind) -> list[bytes]:
        return [data for records in self.records if records.kind == kind for data in records.data]

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Records about connections, with their number and time."""
        events = [
            {"connection": records.connection, "at": records.mono_ns / 1e9} | json.loads(data)
            for records in self.records
            if records.kind == "connection"
            for data in records.data
        ]
        return [event for event in events if not names or event["event"] in names]


@dataclass
class Scene:
    """A running feed and all that surrounds it."""

    nursery: trio.Nursery
    scripts: tuple[Script, ...]
    refusals: dict[int, Refuse] = field(default_factory=dict)
    transport: Transport = "tap"
    frames: int | None = None

    def __post_init__(self) -> None:
        self.journal = MemoryJournal()
        self.server = Server(self.nursery, *self.scripts, refusals=self.refusals)
        self.stopping = trio.Event()
        self.reasons: list[str] = []
        self.stats = FeedStats()
        self.done = trio.Event()
        self.signed: list[int] = []
        links_in, self.links = trio.open_memory_channel[Link](16)
        self.orders, orders_out = trio.open_memory_channel[Order](16)
        self.feed = Feed(
            sign=self._sign,
            url=URL,
            journal=self.journal,
            stopping=self.stopping,
            stop=self.stop,
            links=links_in,
            orders=orders_out,
            stats=self.stats,
            full=lambda: self.journal.full,
            transport=self.transport,
            frames=self.frames,
            dial=self.server.dial,
            clock=Clock(wall_ns, lambda: round(trio.current_time() * 1e9)),
            random=lambda: 1.0,
        )

    def _sign(self, now_ms: int) -> Endpoint:
        self.signed.append(now_ms)
        return Endpoint(URL, ((b"signature", b"%d" % len(self.signed)),))

    def stop(self, reason: str) -> None:
        self.reasons.append(reason)
        self.stopping.set()

    def start(self) -> None:
        self.nursery.start_soon(self._run)

    async def _run(self) -> None:
        await self.feed.run()
        self.done.set()

    async def finish(self) -> None:
        """Stops the feed and waits for its end."""
        self.stop("the test is done")
        with trio.fail_after(10):
            await self.done.wait()


def says(*texts: str) -> Script:
    """A server that sends these in one write, then waits for the goodbye."""

    async def script(peer: Peer) -> None:
        await peer.send(*texts)
        await peer.until_closed()

    return script


async def says_and_hangs_up(peer: Peer) -> None:
    await peer.send(f"of {peer.number}")
    await peer.raw(close(1001, b"restart"))


async def says_and_is_cut(peer: Peer) -> None:
    await peer.raw(frame(b"whole") + frame(b"half")[:4])
