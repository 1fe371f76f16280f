"""TLS as a stream that hands over all that one read brought.

`trio.SSLStream` gives one record a call, at three times the cost for a server that sends one message a record.
"""

from __future__ import annotations

import ssl

import trio

READ_BYTES = 64 << 10
_RECORD_BYTES = 16 << 10


class TLSStream(trio.abc.Stream):
    """The client's side of TLS over another stream. One task may send while another receives.

    A connection cut without TLS's own goodbye ends like one with it: the websocket's close frame tells them apart.
    """

    def __init__(self, stream: trio.abc.Stream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._sending = trio.StrictFIFOLock()
        self._torn = False

    async def do_handshake(self) -> None:
        """Raises ssl.SSLError where the peer is not whom the context trusts; BrokenResourceError where it went away."""
        while not self._shaken():
            await self._send(b"")
            if not await self._feed():
                raise trio.BrokenResourceError("the peer went away during the TLS handshake")
        await self._send(b"")

    def _shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 -- one read is one answer
        """All that one read brought (more than `max_bytes`, perhaps), empty at the end."""
        while True:
            try:
                data, ended = self._decrypt()
            except ssl.SSLError as error:
                raise trio.BrokenResourceError(str(error)) from error
            if data or ended:
                return data
            await self._feed()

    def _decrypt(self) -> tuple[bytes, bool]:
        """What can be read now, and whether that was the end. What a key update wants sent goes with the next send."""
        parts: list[bytes] = []
        try:
            # At close_notify `read` returns b"": who waits for SSLZeroReturnError alone waits for ever.
            while part := self._tls.read(_RECORD_BYTES):
                parts.append(part)
                if not self._incoming.pending and not self._tls.pending() and not self._incoming.eof:
                    return b"".join(parts), False
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        except ssl.SSLError:
            if not parts:
                raise
        return b"".join(parts), True

    async def _feed(self) -> bool:
        data = await self._stream.receive_some(READ_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return bool(data)

    async def _send(self, data: bytes | bytearray | memoryview) -> None:
        async with self._sending:
            if self._torn:
                raise trio.BrokenResourceError("an earlier send was cut off in a record")
            if data:
                self._tls.write(data)
            encrypted = self._outgoing.read()
            if encrypted:
                self._torn = True
                await self._stream.send_all(encrypted)
                self._torn = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts and sends all of it; after a cancelled or failed send, later ones raise BrokenResourceError."""
        await trio.lowlevel.checkpoint()
        try:
            await self._send(data)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream beneath."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Closes the stream beneath without a goodbye of its own: the websocket's has been said."""
        await self._stream.aclose()
