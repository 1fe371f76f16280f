"""A stream that remembers when bytes last came, for plain trio-websocket, which keeps pings and pongs to itself."""

from __future__ import annotations

import trio

from kalshi_trio.transport.seam import Clock, LastReceived


class StampingStream(trio.abc.Stream):
    """The stream beneath, and a stamp of each read that brought something."""

    def __init__(self, stream: trio.abc.Stream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self.last_received = LastReceived()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As the stream beneath."""
        data = await self._stream.receive_some(max_bytes)
        if data:
            self.last_received.stamp(self._clock)
        return bytes(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream beneath."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream beneath."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """As the stream beneath."""
        await self._stream.aclose()
