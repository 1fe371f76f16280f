"""The simulated exchange as a server: over loopback TCP, or over any stream that a test gives it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import trio
import trio_websocket
from trio_websocket import ConnectionClosed, WebSocketConnection

from kalshi_trio.errors import InUse
from kalshi_trio.exchange.gate import Gate
from kalshi_trio.exchange.wire import BulkStream, encode
from kalshi_trio.protocol.auth import KEY, SIGNATURE, STAMP

PATH = "/trade-api/ws/v2"
PING_EVERY = 10.0
PIECE = 500
"""Frames a write, at most."""


class Client:
    """One connected client, as a show sees it."""

    def __init__(self, websocket: WebSocketConnection, stream: BulkStream, commands: list[str]) -> None:
        self._websocket = websocket
        self._stream = stream
        self._commands = commands
        self.sent = 0
        self._order = trio.Lock()

    async def command(self) -> str:
        """The next command of this client; raises ConnectionClosed at its end."""
        text = await self._websocket.get_message()
        self._commands.append(text if isinstance(text, str) else text.decode(errors="replace"))
        return self._commands[-1]

    async def send(self, frames: list[bytes]) -> None:
        """Sends text frames in bulk, byte for byte."""
        async with self._order:  # first come, first served: frames leave in the order of their numbers
            for start in range(0, len(frames), PIECE):
                await self._stream.send_all(encode(frames[start : start + PIECE]))
            self.sent += len(frames)

    async def send_raw(self, data: bytes) -> None:
        """Sends bytes as they are, whether or not they are frames."""
        await self._stream.send_all(data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Says goodbye."""
        with trio.move_on_after(2):
            await self._websocket.aclose(code, reason)

    async def cut(self) -> None:
        """Hangs up without a word."""
        await trio.aclose_forcefully(self._stream)


class Show(Protocol):
    """What is played to each client: a market floor, a recording, prebuilt frames."""

    async def play(self, client: Client) -> None:
        """Serves one client; returns when its connection is to be closed."""


@dataclass
class Exchange:
    """A show behind a gate, with counts of what happened. `gate` None lets everybody in."""

    show: Show
    gate: Gate | None = None
    refusals: list[tuple[int, bytes]] = field(default_factory=list)
    """Answers for the next handshakes, whatever their signature."""
    ping_every: float = PING_EVERY
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    connections: int = 0
    sent: int = 0
    commands: list[str] = field(default_factory=list)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serves one client until either side ends the connection."""
        bulk = BulkStream(stream)
        async with trio.open_nursery() as nursery:
            try:
                request = await trio_websocket.wrap_server_stream(nursery, bulk)
                headers = {name.decode().upper(): value.decode() for name, value in request.headers}
                refusal = self._refusal(headers, request.path)
                if refusal is not None:
                    await request.reject(refusal[0], body=refusal[1])
                else:
                    await self._play(await request.accept(), bulk)
            except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            await trio.aclose_forcefully(bulk)
            nursery.cancel_scope.cancel(reason="the client is gone")

    def _refusal(self, headers: dict[str, str], path: str) -> tuple[int, bytes] | None:
        if self.refusals:
            return self.refusals.pop(0)
        if self.gate is None:
            return None
        known = {name: headers.get(name, "") for name in (KEY, STAMP, SIGNATURE)}
        return self.gate.judge(known, path, self.wall_ms())

    async def _play(self, websocket: WebSocketConnection, bulk: BulkStream) -> None:
        self.connections += 1
        client = Client(websocket, bulk, self.commands)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ping, websocket)
                await self.show.play(client)
                nursery.cancel_scope.cancel(reason="the show is over")
            await client.close()
        except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.sent += client.sent

    async def _ping(self, websocket: WebSocketConnection) -> None:
        while True:
            await trio.sleep(self.ping_every)
            await websocket.ping(b"heartbeat")


async def serve_tcp(
    exchange: Exchange, host: str, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serves clients on loopback until cancelled; ready with the websocket URL. InUse if somebody has the port."""
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise InUse(f"{host}:{port} cannot be listened on ({error.strerror}): choose another port") from error
    number = listeners[0].socket.getsockname()[1]
    serve: Callable[[], Awaitable[None]] = partial(trio.serve_listeners, exchange.serve_stream, listeners)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        task_status.started(f"ws://{host}:{number}{PATH}")
