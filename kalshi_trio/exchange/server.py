"""The simulated exchange as a server: over loopback TCP, or over any stream that a test gives it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, WebSocketRequest, wrap_server_stream

from kalshi_trio.exchange.client import Client
from kalshi_trio.exchange.faults import Faults
from kalshi_trio.exchange.gate import UNKNOWN_KEY, Gate, Refusal
from kalshi_trio.exchange.listening import listen
from kalshi_trio.exchange.tally import Tally
from kalshi_trio.exchange.wire import BulkStream
from kalshi_trio.protocol.auth import KEY, SIGNATURE, STAMP

PATH = "/trade-api/ws/v2"
PING_EVERY = 10.0
PONG_WITHIN = 30.0
"""What the real exchange does about missing pongs is not known; this one hangs up."""
HANDSHAKE_WITHIN = 10.0
REMEMBERED = 10_000
"""Commands and handshakes kept for whoever asks."""


class Show(Protocol):
    """What is played to each client: a market floor, a recording, prebuilt frames."""

    async def play(self, client: Client) -> None:
        """Serves one client; when it returns, the connection is closed with 1000."""


class Outage(NamedTuple):
    """For `seconds` no key is good any more: who is connected is cut off, handshakes are answered 401.

    It begins `after` seconds behind the first handshake that was good.
    """

    seconds: float
    after: float


class Heard(NamedTuple):
    """A command, and on which connection it came."""

    connection: int
    text: str


@dataclass
class Exchange:
    """A show behind a gate, with counts of what happened. `gate` None lets everybody in."""

    show: Show
    gate: Gate | None = None
    faults: Faults | None = None
    refusals: list[Refusal] = field(default_factory=list)
    """Answers for the next handshakes, whatever their signature."""
    outage: Outage | None = None
    ping_every: float = PING_EVERY
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    connections: int = 0
    tally: Tally = field(default_factory=Tally)
    commands: deque[Heard] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    handshakes: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Headers by upper-case name, refused handshakes included."""
    _outage_at: float = float("inf")

    @property
    def sent(self) -> int:
        """Frames sent to all clients, prebuilt ones aside."""
        return self.tally.total

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serves one client until either side ends the connection; nothing that a client does makes it raise."""
        bulk = BulkStream(stream)
        try:
            async with trio.open_nursery() as nursery:
                request = None
                with trio.move_on_after(HANDSHAKE_WITHIN):
                    request = await wrap_server_stream(nursery, bulk)
                if request is not None:
                    await self._admit(request, bulk)
                nursery.cancel_scope.cancel(reason="the client is gone")
        except* (ConnectionClosed, HandshakeError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(bulk)

    async def _admit(self, request: WebSocketRequest, bulk: BulkStream) -> None:
        headers = {name.decode().upper(): value.decode(errors="replace") for name, value in request.headers}
        self.handshakes.append(headers)
        refusal = self._refusal(headers, request.path)
        if refusal is not None:
            await request.reject(refusal.status, body=refusal.body)
        else:
            await self._play(await request.accept(), bulk)

    def _refusal(self, headers: dict[str, str], path: str) -> Refusal | None:
        if self.refusals:
            return Refusal(*self.refusals.pop(0))
        if path.partition("?")[0] != PATH:
            return Refusal(404, b"404 page not found")
        if self.outage and 0 <= trio.current_time() - self._outage_at < self.outage.seconds:
            return UNKNOWN_KEY
        if self.gate is None:
            return None
        known = {name: headers.get(name, "") for name in (KEY, STAMP, SIGNATURE)}
        return self.gate.judge(known, path, self.wall_ms())

    async def _play(self, websocket: WebSocketConnection, bulk: BulkStream) -> None:
        self.connections += 1
        number = self.connections
        if self.outage and number == 1:
            self._outage_at = trio.current_time() + self.outage.after
        if self.faults:
            self.faults.new_connection()
        client = Client(
            number, websocket, bulk, self.tally, self.faults, lambda text: self.commands.append(Heard(number, text))
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ping, websocket, client)
            if trio.current_time() < self._outage_at < float("inf"):
                nursery.start_soon(self._cut_off, client)
            await self.show.play(client)
            nursery.cancel_scope.cancel(reason="the show is over")
        await client.close()

    async def _cut_off(self, client: Client) -> None:
        await trio.sleep_until(self._outage_at)
        await client.cut()

    async def _ping(self, websocket: WebSocketConnection, client: Client) -> None:
        while True:
            await trio.sleep(self.ping_every)
            with trio.move_on_after(PONG_WITHIN) as waiting:
                await websocket.ping(b"heartbeat")
            if waiting.cancelled_caught:
                await client.cut()


async def serve_tcp(
    exchange: Exchange, host: str, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serves clients until cancelled; ready with the websocket URL.

    Raises InUse if the port cannot be listened on, UsageError if there is no such host.
    """
    listeners, number = await listen(host, port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, exchange.serve_stream, listeners))
        task_status.started(f"ws://{host}:{number}{PATH}")
