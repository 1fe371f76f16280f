"""The seam of the feed: what a connection promises, whichever way it receives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import trio

from kalshi_trio.errors import FeedLost

Transport = Literal["tap", "plain"]

MAX_MESSAGE = 16 << 20
"""The largest message taken: an `ok` that lists 30,000 tickers has a megabyte, which is trio-websocket's own limit."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where stamps come from, in nanoseconds: the wall clock (since 1970, UTC) and a monotonic one."""

    wall_ns: Callable[[], int] = time.time_ns
    mono_ns: Callable[[], int] = time.monotonic_ns


@dataclass(slots=True)
class LastReceived:
    """When bytes of any kind (handshake, frame, ping, pong, close) last came on a connection; all 0 for never.

    `at` is Trio's time, in seconds: what silence is measured by, which a jump of the wall clock does not change.
    """

    wall_ns: int = 0
    mono_ns: int = 0
    at: float = 0.0

    def stamp(self, clock: Clock) -> None:
        """They came now: 0.3 µs, once a read."""
        self.wall_ns, self.mono_ns, self.at = clock.wall_ns(), clock.mono_ns(), trio.current_time()


class Arrival(NamedTuple):
    """All data frames that one read brought, at least one, stamped when the read returned.

    Text and binary messages alike, as the bytes that came; whether they are UTF-8 is for the reader to check.
    """

    ts_recv: int
    mono_ns: int
    frames: list[bytes]


class Connection(Protocol):
    """An open websocket; `date` is the server's Date header, empty if it sent none."""

    date: str
    last_received: LastReceived

    async def receive(self) -> Arrival:
        """The next arrival. Raises FeedLost when the connection is over and all that it brought was handed out.

        Cancelling loses nothing: what was not returned comes the next time.
        """

    async def send(self, text: str) -> None:
        """Sends one text message; FeedLost if the connection is over. It waits while the peer does not read."""

    async def ping(self) -> None:
        """Sends a ping and waits for its pong, for ever if need be. FeedLost if the connection is over."""

    async def aclose(self) -> None:
        """Says goodbye and waits for the answer, then ends; the caller sets the deadline, after which it is cut."""

    def rest(self) -> list[Arrival]:
        """What `receive` would hand out without waiting: for the end, when nobody can wait any more."""

    async def abort(self, lost: FeedLost) -> None:
        """Cuts the connection now. `receive` hands out what had come, then raises `lost`."""
