"""Server frames in bulk beneath trio-websocket, which keeps handshake, commands, pings and closes."""

from __future__ import annotations

from collections.abc import Iterable

import trio


def encode(messages: Iterable[bytes], first: int = 0x81) -> bytes:
    """Whole unmasked frames, as a server sends them; 0x81 is text, 0x82 binary."""
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

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends all of it before anything else."""
        async with self._lock:
            await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream beneath."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As the stream beneath."""
        return bytes(await self._inner.receive_some(max_bytes))

    async def aclose(self) -> None:
        """As the stream beneath."""
        await self._inner.aclose()
