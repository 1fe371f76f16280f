"""A port of this machine, for whatever the exchange serves there."""

from __future__ import annotations

import socket

import trio

from kalshi_trio.errors import InUse, UsageError


async def listen(host: str, port: int) -> tuple[list[trio.SocketListener], int]:
    """Listeners, and the port that they have (0 takes a free one).

    Raises InUse if the port cannot be listened on, UsageError if there is no such host.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except socket.gaierror as error:
        raise UsageError(f"{host}: {error.strerror}. A host is an address or a name of this machine.") from error
    except OSError as error:
        raise InUse(f"{host}:{port} cannot be listened on ({error.strerror}): choose another port") from error
    return listeners, listeners[0].socket.getsockname()[1]
