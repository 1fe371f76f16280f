"""Server frames in bulk beneath trio-websocket, which keeps handshake, commands, pings and closes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import trio

TEXT, BINARY = 0x81, 0x82


def encode(messages: Iterable[bytes], first: int = TEXT) -> bytes:
    """Whole unmasked frames, as a server sends them."""
    out = bytearray()
    for message in messages:
        size = len(message)
        if size < 126:
            out += bytes((first, size))
        elif size < 65_536:
            out += bytes((first, 126)) + size.to_bytes(2, "big")
        else:
            out += bytes((first, 127)) + size.to_bytes(8, "big")
        out += message
    return bytes(out)


class BulkStream(trio.abc.Stream):
    """A stream that trio-websocket and bulk senders share: each `send_all` goes out whole."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self._lock = trio.Lock()
        self._frozen = False

    def freeze(self) -> None:
        """From now on half open: nothing is heard, nothing arrives, and nobody is told; a close still closes."""
        self._frozen = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends all of it before anything else."""
        async with self._lock:
            await (self._silence() if self._frozen else self._inner.send_all(data))

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream beneath."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As the stream beneath; what comes while it is frozen is lost."""
        while data := bytes(await self._inner.receive_some(max_bytes)):
            if not self._frozen:
                break
        return data

    async def aclose(self) -> None:
        """As the stream beneath."""
        await self._inner.aclose()

    async def _silence(self) -> NoReturn:
        await trio.sleep_forever()
        raise AssertionError("only cancellation ends a silence")
