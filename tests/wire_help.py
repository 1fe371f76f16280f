"""Websocket frames byte by byte, and a server at the far end of in-memory streams that does what a test tells it."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from kalshi_trio.transport.endpoint import Endpoint

URL = "ws://exchange.test/trade-api/ws/v2"


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, rsv: int = 0, masked: bool = False) -> bytes:
    """One frame as a server sends it, or as none should."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 1 << 16:
        head = struct.pack(">BBH", first, mask | 126, size)
    else:
        head = struct.pack(">BBQ", first, mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def ping(payload: bytes = b"heartbeat") -> bytes:
    return frame(payload, 9)


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(struct.pack(">H", code) + reason, 8)


class Peer:
    """The server's side of one connection."""

    def __init__(self, websocket: WebSocketConnection, stream: trio.abc.Stream, number: int) -> None:
        self.websocket = websocket
        self.stream = stream
        self.number = number

    async def send(self, *texts: str | bytes) -> None:
        """Text frames, all in one write."""
        await self.raw(b"".join(frame(text.encode() if isinstance(text, str) else text) for text in texts))

    async def raw(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def cut(self) -> None:
        await trio.aclose_forcefully(self.stream)

    async def until_closed(self) -> list[str | bytes]:
        """What the client says until it says goodbye."""
        heard: list[str | bytes] = []
        while True:
            try:
                heard.append(await self.websocket.get_message())
            except ConnectionClosed:
                return heard


async def accept(stream: trio.abc.Stream) -> None:
    """The server's handshake alone, for tests that want to read what the client sends byte for byte."""
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(bytes(await stream.receive_some()))
    assert isinstance(next(server.events()), Request)
    await stream.send_all(server.send(AcceptConnection()))


Script = Callable[[Peer], Awaitable[object]]
Refuse = Callable[[WebSocketRequest], Awaitable[None]]


def refuse(status: int, body: bytes = b"") -> Refuse:
    async def script(request: WebSocketRequest) -> None:
        await request.reject(status, body=body)

    return script


class Server:
    """Each connection gets the next script; the last one is kept for all that follow."""

    def __init__(self, nursery: trio.Nursery, *scripts: Script, refusals: dict[int, Refuse] | None = None) -> None:
        self._nursery = nursery
        self._scripts = scripts
        self._refusals = refusals or {}
        self.asked: list[Endpoint] = []
        self.headers: list[dict[str, str]] = []
        self.dialled: list[float] = []
        self.below: Callable[[trio.abc.Stream], Awaitable[None]] | None = None
        """Served instead of a websocket, by who wants to see the bytes."""

    async def dial(self, endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dialled.append(trio.current_time())
        self.asked.append(endpoint)
        near, far = memory_stream_pair()
        if self.below is not None:
            self._nursery.start_soon(self.below, far)
        else:
            self._nursery.start_soon(self.serve, far, len(self.asked))
        return near

    async def serve(self, stream: trio.abc.Stream, number: int) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            self.headers.append({name.decode().lower(): value.decode() for name, value in request.headers})
            if number in self._refusals:
                await self._refusals[number](request)
            else:
                websocket = await request.accept(extra_headers=[(b"Date", b"Tue, 24 Nov 2026 05:01:02 GMT")])
                script = self._scripts[min(number, len(self._scripts)) - 1]
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed):
                    await script(Peer(websocket, stream, number))
            nursery.cancel_scope.cancel(reason="the script is done")
        await trio.aclose_forcefully(stream)
