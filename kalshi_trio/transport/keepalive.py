"""Telling a quiet connection from a dead one."""

from __future__ import annotations

from collections.abc import Callable

import trio

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.seam import Connection

PING_SECONDS = 10.0
PONG_SECONDS = 20.0
"""So a connection on which nothing at all arrives, no ping, pong or frame, is given up within 30 seconds.

Silence of data alone means nothing: 18 markets once said nothing for 216 s, and a read deadline of 30 s cut 209 healthy
connections in one log.
"""


async def keep_alive(connection: Connection, ponged: Callable[[], None]) -> None:
    """Pings until the connection is over; calls `ponged` at each pong and cuts the connection if one does not come."""
    try:
        while True:
            await trio.sleep(PING_SECONDS)
            with trio.fail_after(PONG_SECONDS):
                await connection.ping()
            ponged()
    except trio.TooSlowError:
        await connection.abort(FeedLost(f"no pong within {PONG_SECONDS:g}s"))
    except FeedLost:
        return  # whoever receives is told why
