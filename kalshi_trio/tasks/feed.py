"""The feed: connection after connection until it is stopped. What comes is appended to the journal and not looked at.

Each connection has a number of its own, from 1. The journal gets what was received and, as records of kind
`connection`, each opening, each handshake done and each end with its reason: an end that nobody here wanted is a hole.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import trio

from kalshi_trio.errors import FeedLost, KeyRefused, first_of
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.stats import FeedStats
from kalshi_trio.protocol.links import Command, Down, Link, Order, Up
from kalshi_trio.protocol.records import Kind, Records
from kalshi_trio.protocol.retry import waits
from kalshi_trio.transport.dial import dialer
from kalshi_trio.transport.endpoint import Dial, Endpoint
from kalshi_trio.transport.keepalive import keep_alive
from kalshi_trio.transport.opening import Opener
from kalshi_trio.transport.seam import Arrival, Clock, Connection, LastReceived, Transport
from kalshi_trio.transport.until import until

log = get_logger(__name__)

SEND_SECONDS = 20.0
CLOSE_SECONDS = 2.0
ROOM_SECONDS = 5.0
"""How long the journal's disk may hold up reading before the connection is given up."""
STALLED_SECONDS = 0.1
BEHIND_EVERY = 10.0
"""Seconds between two lines about a disk that is behind: each wait has its record in the journal."""
HEALTHY_SECONDS = 60.0
"""A connection that lived so long was no part of a storm: waits start small again."""
REFUSED_MOST = 60.0
"""The longest wait while the exchange refuses a key that it took before."""
REMIND_SECONDS = 600.0
"""How often that is said again."""


class Frames(Protocol):
    """What the feed needs of the journal."""

    unwritable_since: float | None

    def append(self, kind: Kind, connection: int, ts_recv: int, mono_ns: int, data: list[bytes]) -> Records:
        """Takes records; never waits."""

    async def room(self) -> None:
        """Waits while too much waits for the disk."""


@dataclass(slots=True)
class _Behind:
    """Says that the journal's disk is behind, seldom."""

    waits: int = 0
    seconds: float = 0.0
    again_at: float = 0.0

    def add(self, seconds: float) -> None:
        self.waits += 1
        self.seconds += seconds
        now = trio.current_time()
        if now >= self.again_at:
            often = f" in {self.waits} waits" if self.waits > 1 else ""
            log.warning("Reading stood still for %.1fs%s: the journal's disk is behind", self.seconds, often)
            self.waits, self.seconds, self.again_at = 0, 0.0, now + BEHIND_EVERY


@dataclass(slots=True)
class Feed:
    """Run it once. `sign` is asked for an endpoint with fresh headers, at that many Unix milliseconds, a connection.

    `stop` is called when `frames` data frames are in the journal; no more than those will be. `stopping` ends the feed.
    `full`: whether as much waits for the journal's disk as may; only then reading waits, and only that is the disk's.
    """

    sign: Callable[[int], Endpoint]
    url: str
    journal: Frames
    stopping: trio.Event
    stop: Callable[[str], None]
    links: trio.MemorySendChannel[Link]
    orders: trio.MemoryReceiveChannel[Order]
    stats: FeedStats
    full: Callable[[], bool] = lambda: True
    transport: Transport = "tap"
    frames: int | None = None
    dial: Dial | None = None
    clock: Clock = field(default_factory=Clock)
    random: Callable[[], float] = random.random
    _number: int = 0
    _received: int = 0
    _opened_at: float | None = None
    _gave_up: bool = False
    _open: Connection | None = None
    _masked: Callable[[str], str] = str
    _accepted: bool = False
    """The exchange took the key once: a 401 is its mistake, or somebody's who can mend it meanwhile."""
    _denied: bool = False
    """The last try was answered 401."""
    _denied_at: float = 0.0
    _remind_at: float = 0.0
    _last_received: LastReceived | None = None
    _behind: _Behind = field(default_factory=_Behind)

    async def run(self) -> None:
        """Until `stopping` is set and all that was received before is in the journal; then closes its channels.

        Raises KeyRefused, in a group, if the key is refused before it was ever taken. What only a new connection can
        cure is cured by one.
        """
        self.stats.url = Endpoint(self.url).shown
        pauses, denials = waits(self.random), waits(self.random, most=REFUSED_MOST)
        with self.links, self.orders:
            while not self.stopping.is_set():
                lost = await self._connection()
                if lost is None:
                    continue
                if self._opened_at is not None and trio.current_time() - self._opened_at >= HEALTHY_SECONDS:
                    pauses, denials = waits(self.random), waits(self.random, most=REFUSED_MOST)
                await self._pause(lost, next(denials if self._denied else pauses))
        self.stats.state = "stopped"

    async def _pause(self, lost: FeedLost, pause: float) -> None:
        """Waits before the next try, and for room in the journal, unless it is to stop."""
        pause = max(pause, lost.wait)
        self._say(lost, pause)
        self.stats.state, self.stats.last_error = "waiting", str(lost)
        self.stats.reconnects += 1
        async with until(self.stopping, "stopping"):
            await trio.sleep(pause)
            await self.journal.room()

    def _say(self, lost: FeedLost, pause: float) -> None:
        if not self._denied:
            log.warning("WebSocket connection closed, reconnecting in %.1fs: %s", pause, lost)
            return
        now = trio.current_time()
        if not self.stats.key_refused_ns:
            self.stats.key_refused_ns = self.clock.wall_ns()
            self._denied_at = self._remind_at = now
        loud = now >= self._remind_at
        if loud:
            self._remind_at = now + REMIND_SECONDS
        level = logging.WARNING if loud else logging.DEBUG
        log.log(level, "Trying again in %.1fs and on, since the key was good before: %s", pause, lost)

    async def _connection(self) -> FeedLost | None:
        """One connection, from its opening to its end; what ended it, None if that was our wish."""
        self._number += 1
        self._opened_at, self._gave_up, self._denied, self._last_received = None, False, False, None
        self.stats.connection, self.stats.state = self._number, "connecting"
        log.info("Connecting to %s", self.stats.url)
        self._note("connection", {"event": "opening", "url": self.stats.url, "transport": self.transport})
        lost: FeedLost | None = None
        with self._closing() as end:
            try:
                async with trio.open_nursery() as nursery:
                    lost = await self._live(nursery)
                    nursery.cancel_scope.cancel(reason="the connection is over")
            except* FeedLost as group:
                lost = first_of(group)
            except* KeyRefused as group:
                if not self._accepted:
                    raise
                self._denied, lost = True, FeedLost(str(first_of(group)))
            if lost is not None:
                lost = FeedLost(self._masked(str(lost)), cause=lost.cause, wait=lost.wait)
            end.append(lost)
        if self._opened_at is not None:
            await self.links.send(Down(self._number))
        return None if self.stopping.is_set() else lost

    @contextmanager
    def _closing(self) -> Iterator[list[FeedLost | None]]:
        """Records the connection's end, however it comes."""
        end: list[FeedLost | None] = []
        try:
            yield end
        finally:
            lost = end[0] if end else None
            event = {"event": "closed", "reason": str(lost or "stopped")[:300], "final": self.stopping.is_set()}
            event["cause"] = lost.cause if lost else "reconnect"
            if self._last_received is not None:  # knowledge ends there, not where the end was noticed
                event["heard_ns"] = self._last_received.wall_ns
            self._note("connection", event)

    async def _live(self, nursery: trio.Nursery) -> FeedLost | None:
        connection: Connection | None = None
        async with until(self.stopping, "stopping"):
            endpoint = self.sign(self.clock.wall_ns() // 1_000_000)
            self._masked = endpoint.masked
            opener = Opener(self.dial or dialer(self.transport), self.transport, self.clock)
            connection = await nursery.start(opener.hold, endpoint)
        if connection is None:
            return None
        try:
            self._opened(connection)
            await self.links.send(Up(self._number))
            nursery.start_soon(keep_alive, connection, self._ponged, partial(self._looked, connection.last_received))
            nursery.start_soon(self._obey, connection)
            async with trio.open_nursery() as leaving:
                leaving.start_soon(self._hang_up, connection)
                lost = await self._read(connection)
                if not self.stopping.is_set():
                    leaving.cancel_scope.cancel(reason="the connection is over")
            return lost
        finally:
            self._take_rest()
            self._open = None

    def _opened(self, connection: Connection) -> None:
        self._opened_at, self._accepted = trio.current_time(), True
        if self.stats.key_refused_ns:
            log.warning("The exchange takes the key again, after %.0fs", self._opened_at - self._denied_at)
            self.stats.key_refused_ns = 0
        self._last_received = connection.last_received
        self.stats.state = "connected"
        self._ponged()
        self._looked(connection.last_received)
        self._note("connection", {"event": "open", "transport": self.transport, "date": connection.date})
        self._open = connection
        log.info("Connected to Kalshi WebSocket")

    def _ponged(self) -> None:
        self.stats.last_pong_mono_ns = self.clock.mono_ns()

    def _looked(self, last: LastReceived) -> None:
        self.stats.last_heard_mono_ns = last.mono_ns

    async def _read(self, connection: Connection) -> FeedLost:
        """Takes, appends, and looks whether there is room, until the connection is over and all of it is taken."""
        while True:
            try:
                arrival = await connection.receive()
            except FeedLost as lost:
                return lost
            self._take(arrival)
            if not self._gave_up and not await self._room():
                self._gave_up = True
                cause = "stall" if self.journal.unwritable_since is None else "unwritable"
                why = f"the journal's disk took nothing for {ROOM_SECONDS:g}s"
                await connection.abort(FeedLost(why, cause=cause))

    def _take(self, arrival: Arrival) -> None:
        frames = arrival.frames
        if self.frames is not None:
            left = self.frames - self._received
            frames = frames[:left]
            if not frames:
                return
            if len(frames) == left:
                self.stop(f"{self.frames} frames received")
        self.journal.append("frame", self._number, arrival.ts_recv, arrival.mono_ns, frames)
        self._received += len(frames)
        self.stats.received = self._received
        self.stats.received_bytes += sum(map(len, frames))
        self.stats.last_frame_mono_ns = arrival.mono_ns

    def _take_rest(self) -> None:
        for arrival in self._open.rest() if self._open else ():
            self._take(arrival)

    async def _room(self) -> bool:
        """Whether the journal has room; a wait for the disk that is worth it is recorded. A late event loop is none."""
        if not self.full():
            await trio.lowlevel.checkpoint()
            return True
        since = trio.current_time()
        with trio.move_on_after(ROOM_SECONDS) as patience:
            await self.journal.room()
        seconds = trio.current_time() - since
        if seconds >= STALLED_SECONDS:
            self.stats.stalls += 1
            self._note("stall" if self.journal.unwritable_since is None else "unwritable", {"seconds": seconds})
            self._behind.add(seconds)
        return not patience.cancelled_caught

    async def _obey(self, connection: Connection) -> None:
        """Does what the subscriber orders; orders for older connections are void."""
        async for order in self.orders:
            if order.connection != self._number:
                continue
            if isinstance(order, Command):
                await self._send(connection, order.text)
            else:
                await connection.abort(FeedLost(order.reason))

    async def _send(self, connection: Connection, text: str) -> None:
        """Sends a command, which is in the journal before its first byte is out."""
        self._append("command", text.encode(), self._number)
        try:
            with trio.fail_after(SEND_SECONDS):
                await connection.send(text)
        except trio.TooSlowError:
            await connection.abort(FeedLost(f"a command was not taken within {SEND_SECONDS:g}s"))
        except FeedLost as lost:
            log.debug("Not sent, since the connection is over (%s): %s", lost, text[:200])

    async def _hang_up(self, connection: Connection) -> None:
        """Says goodbye when it is time, upon which `_read` takes what had come and ends."""
        await self.stopping.wait()
        with trio.move_on_after(CLOSE_SECONDS):
            await connection.aclose()
        await connection.abort(FeedLost("stopped"))

    def aside(self, kind: Kind, event: dict[str, object]) -> None:
        """A record that concerns no connection, from whoever else has something to say; until `run` has ended."""
        self._append(kind, json.dumps(event).encode(), 0)

    def _note(self, kind: Kind, event: dict[str, object]) -> None:
        self._append(kind, json.dumps(event).encode(), self._number)

    def _append(self, kind: Kind, data: bytes, connection: int) -> None:
        """A record of our own; what was read before it goes before it, so that stamps never go back."""
        self._take_rest()
        self.journal.append(kind, connection, self.clock.wall_ns(), self.clock.mono_ns(), [data])
