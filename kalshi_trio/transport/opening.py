"""From an endpoint to an open connection, or to one clear reason why not."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

import trio
from h11 import ProtocolError
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from kalshi_trio.errors import FeedLost, KeyRefused
from kalshi_trio.transport.connection import PlainConnection, TappedConnection
from kalshi_trio.transport.endpoint import Dial, Endpoint
from kalshi_trio.transport.frame_tap import FrameTap
from kalshi_trio.transport.held import Held
from kalshi_trio.transport.refusal import refusal
from kalshi_trio.transport.seam import MAX_MESSAGE, Clock, Connection, Transport
from kalshi_trio.transport.stamping import StampingStream

CONNECT_SECONDS = 15.0
"""For the name, TCP, TLS and the handshake together."""
_FAILURES = (ConnectionClosed, ConnectionRejected, LocalProtocolError, RemoteProtocolError, ProtocolError, FeedLost)
"""What trio-websocket's reader ends with when the peer is at fault; anything else is a bug and gets out.

h11's ProtocolError is among them since wsproto wants to refuse a bad answer to its own request, which h11 does not allow.
"""


@dataclass(frozen=True, slots=True)
class Opener:
    """How connections are opened."""

    dial: Dial
    transport: Transport = "tap"
    clock: Clock = field(default_factory=Clock)

    async def hold(
        self, endpoint: Endpoint, *, task_status: trio.TaskStatus[Connection] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """For `nursery.start`: opens a connection, hands it over, and keeps it going until it is cancelled.

        Raises FeedLost where none comes about within 15 seconds, KeyRefused where the key is refused for good. When it
        is cancelled, it cuts what is open.
        """
        with trio.CancelScope(deadline=trio.current_time() + CONNECT_SECONDS) as patience:
            stream = await self._dial(endpoint)
            connection: Connection | None = None
            failed: BaseExceptionGroup[Exception] | None = None
            try:
                async with trio.open_nursery() as nursery:
                    connection = await self._open(nursery, stream, endpoint)
                    patience.deadline = float("inf")
                    task_status.started(connection)
                    await trio.sleep_forever()
            except* _FAILURES as group:
                failed = group
            finally:
                await trio.aclose_forcefully(stream)
            await _tell(failed, connection, endpoint)
        raise FeedLost(f"{endpoint.shown} did not answer within {CONNECT_SECONDS:g}s")

    async def _dial(self, endpoint: Endpoint) -> trio.abc.Stream:
        try:
            return await self.dial(endpoint)
        except (OSError, trio.BrokenResourceError) as error:
            why = _reason(error)
            kind = "TLS failed" if isinstance(why, ssl.SSLError) else "cannot connect"
            raise FeedLost(f"{endpoint.shown}: {kind}: {why}") from error

    async def _open(self, nursery: trio.Nursery, stream: trio.abc.Stream, endpoint: Endpoint) -> Connection:
        if self.transport == "plain":
            stamping = StampingStream(stream, self.clock)
            return PlainConnection(await _shake_hands(nursery, stamping, endpoint), stamping, self.clock)
        held = Held()
        tap = FrameTap(stream, held, self.clock)
        connection = TappedConnection(await _shake_hands(nursery, tap, endpoint), tap, held)
        nursery.start_soon(connection.pump)
        return connection


async def _shake_hands(nursery: trio.Nursery, stream: trio.abc.Stream, endpoint: Endpoint) -> WebSocketConnection:
    return await wrap_client_stream(
        nursery,
        stream,  # type: ignore[arg-type]  # any stream will do, it says itself
        endpoint.host_header,
        endpoint.resource,
        extra_headers=list(endpoint.headers),
        max_message_size=MAX_MESSAGE,
        receive_buffer_size=None,
    )


def _reason(error: BaseException) -> BaseException:
    """What is behind Trio's own words: the TLS error, or what came of the addresses that were tried."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError | OSError):
        return cause
    if isinstance(cause, BaseExceptionGroup):
        return next((leaf for leaf in cause.exceptions if isinstance(leaf, OSError)), error)
    return error


async def _tell(
    failed: BaseExceptionGroup[Exception] | None, connection: Connection | None, endpoint: Endpoint
) -> None:
    """Raises what failed; where the connection was handed over already, `receive` raises it after all that had come."""
    if failed is None:
        return
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConnectionRejected):
        lost: FeedLost | KeyRefused = refusal(error.status_code, error.body or b"", endpoint.masked)
    else:
        lost = error if isinstance(error, FeedLost) else FeedLost(f"trio-websocket failed: {error}")
    if connection is None:
        raise lost from failed
    await connection.abort(FeedLost(str(lost)))
    await trio.sleep_forever()
