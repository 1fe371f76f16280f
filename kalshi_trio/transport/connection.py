"""The two ways to receive, behind one seam: the frame tap, and plain trio-websocket as its reference."""

from __future__ import annotations

from typing import NoReturn

import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from wsproto.utilities import LocalProtocolError

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.frame_tap import FrameTap
from kalshi_trio.transport.held import Held
from kalshi_trio.transport.seam import Arrival, Clock, LastReceived
from kalshi_trio.transport.stamping import StampingStream

_GONE = (ConnectionClosed, LocalProtocolError)
"""What trio-websocket raises on a connection that is over; the second from wsproto, in a race with the peer's close."""


class _Websocket:
    """What both ways share: sending, and knowing why it ended."""

    def __init__(self, websocket: WebSocketConnection, stream: trio.abc.Stream, last_received: LastReceived) -> None:
        self._websocket = websocket
        self._stream = stream
        self.last_received = last_received
        self._lost: FeedLost | None = None
        headers = dict(websocket.handshake_headers)
        self.date = headers.get(b"date", b"").decode("ascii", errors="replace")

    async def send(self, text: str) -> None:
        """See `Connection`."""
        try:
            await self._websocket.send_message(text)
        except _GONE as error:
            self._fail(error)

    async def ping(self) -> None:
        """See `Connection`."""
        try:
            await self._websocket.ping()
        except _GONE as error:
            self._fail(error)

    async def aclose(self) -> None:
        """See `Connection`."""
        try:
            await self._websocket.aclose()
        except LocalProtocolError:
            pass  # the peer closed at the same moment: there is nothing left to say
        finally:
            await trio.aclose_forcefully(self._stream)

    async def abort(self, lost: FeedLost) -> None:
        """See `Connection`."""
        self._lost = self._lost or lost
        await trio.aclose_forcefully(self._stream)

    def _fail(self, error: Exception) -> NoReturn:
        raise self._lost or FeedLost(_why(error)) from error


class PlainConnection(_Websocket):
    """Plain trio-websocket: a message a read."""

    def __init__(self, websocket: WebSocketConnection, stream: StampingStream, clock: Clock) -> None:
        super().__init__(websocket, stream, stream.last_received)
        self._clock = clock

    async def receive(self) -> Arrival:
        """See `Connection`."""
        try:
            message = await self._websocket.get_message()
        except _GONE as error:
            self._fail(error)
        stamps = (self._clock.wall_ns(), self._clock.mono_ns())
        return Arrival(*stamps, [message.encode() if isinstance(message, str) else message])

    def rest(self) -> list[Arrival]:
        """See `Connection`: a message or two that trio-websocket has read ahead cannot be had, and count as unread."""
        return []


class TappedConnection(_Websocket):
    """trio-websocket above a frame tap; `pump` must run beside it."""

    def __init__(self, websocket: WebSocketConnection, tap: FrameTap, held: Held) -> None:
        super().__init__(websocket, tap, tap.last_received)
        self._tap = tap
        self._held = held

    async def receive(self) -> Arrival:
        """See `Connection`."""
        return await self._held.take()

    def rest(self) -> list[Arrival]:
        """See `Connection`."""
        return self._held.rest()

    async def abort(self, lost: FeedLost) -> None:
        """See `Connection`."""
        self._held.end(lost)
        await super().abort(lost)

    async def pump(self) -> None:
        """Hands back what trio-websocket had to judge, until it ends."""
        try:
            while True:
                message = await self._websocket.get_message()
                self._tap.hand_back(message.encode() if isinstance(message, str) else message)
        except _GONE as error:
            self._held.end(FeedLost(_why(error)))
        finally:
            self._tap.let_go()


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, ConnectionClosed) else None
    if not isinstance(reason, CloseReason):
        return f"closed: {error}"
    return f"closed with {reason.code} {reason.name}" + (f": {reason.reason}" if reason.reason else "")
