"""The simulated exchange over streams in memory: the real protocol and signatures, no socket, any clock."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from typing import Any
from zlib import crc32

import trio
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream

from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.gate import Gate
from kalshi_trio.exchange.keys import KINDS, KeyKind, make_key, private_pem
from kalshi_trio.exchange.rules import Rules
from kalshi_trio.exchange.server import PATH, Exchange
from kalshi_trio.exchange.shows import FloorShow
from kalshi_trio.protocol.auth import PrivateKey, Signer
from kalshi_trio.transport.endpoint import Endpoint

KEY_ID = "test-key"
HOST = "exchange.test"
URL = f"ws://{HOST}{PATH}"
START_US = 1_795_543_200_000_000
"""What a virtual clock's 0 means to the exchange: 2026-11-24 18:00 UTC."""


def virtual_us() -> int:
    """The exchange's time where the clock is virtual."""
    return START_US + int(trio.current_time() * 1e6)


def virtual_ms() -> int:
    """The same, for signatures."""
    return virtual_us() // 1000


def key() -> PrivateKey:
    """One key a test, of either kind: its name decides, so that about half of all tests sign with each."""
    name = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    return _key(KINDS[crc32(name.encode()) % len(KINDS)])


@cache
def _key(kind: KeyKind) -> PrivateKey:
    """Making one takes up to 0.1 s."""
    return make_key(kind)


def gate() -> Gate:
    """Lets in whoever signs with that key."""
    return Gate({KEY_ID: key().public_key()})


def signer() -> Signer:
    """Signs with that key."""
    return Signer(KEY_ID, private_pem(key()), "the test's key")


def sign(now_ms: int) -> Endpoint:
    """The exchange's address with headers signed at `now_ms`."""
    headers = signer().headers("GET", PATH, now_ms)
    return Endpoint(URL, tuple((name.encode(), value.encode()) for name, value in headers))


def floor_show(*markets: str, seed: int = 1, rate: float = 70.0, speed: float | None = 1.0, **rules: Any) -> FloorShow:
    """Generated markets on virtual time; `rules` as those of `Rules`."""
    known = Rules(**rules)
    floor = GeneratedFloor(markets, seed, rate, fine=known.era == "current")
    return FloorShow(floor, speed, virtual_us, rules=known)


class MemoryExchange:
    """Serves every stream that is dialled in the nursery given."""

    def __init__(self, nursery: trio.Nursery, exchange: Exchange) -> None:
        self._nursery = nursery
        self.exchange = exchange
        self.dialled: list[float] = []

    async def dial(self, endpoint: Endpoint | None = None) -> trio.abc.Stream:
        """The client's end of a new stream: a feed's `Dial`."""
        del endpoint
        await trio.lowlevel.checkpoint()
        self.dialled.append(trio.current_time())
        near, far = memory_stream_pair()
        self._nursery.start_soon(self.exchange.serve_stream, far)
        return near

    async def connect(self, endpoint: Endpoint | None = None) -> WebSocketConnection:
        """A plain websocket client, for tests of the exchange itself."""
        asked = endpoint or sign(virtual_ms())
        stream: Any = await self.dial()  # any trio.abc.Stream will do
        headers = list(asked.headers)
        return await wrap_client_stream(
            self._nursery, stream, HOST, PATH, extra_headers=headers, message_queue_size=100
        )


async def say(websocket: WebSocketConnection, number: int, name: str, **params: object) -> None:
    """Sends a command."""
    await websocket.send_message(json.dumps({"id": number, "cmd": name, "params": params}))


async def hear(websocket: WebSocketConnection, count: int) -> list[dict[str, Any]]:
    """The next messages."""
    return [json.loads(await websocket.get_message()) for _ in range(count)]


def kinds(messages: Sequence[dict[str, Any]]) -> list[str]:
    """Their types."""
    return [message["type"] for message in messages]
