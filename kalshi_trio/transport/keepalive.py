"""Telling a quiet connection from a dead one."""

from __future__ import annotations

from collections.abc import Callable

import trio

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.seam import Connection

PING_SECONDS = 10.0
SILENT_SECONDS = 30.0
"""A connection on which nothing at all arrives for so long, no ping, pong or frame, is given up.

Anything that arrives is a sign of life, a pong one among others: a peer that answers pings late, or never, while frames or
its own pings come is as alive as any. Silence of data alone means nothing: 18 markets once said nothing for 216 s, and a
read deadline of 30 s cut 209 healthy connections in one log. Kalshi pings every 10 s, and so do we.
"""
LOOK_SECONDS = 1.0


async def keep_alive(connection: Connection, ponged: Callable[[], None], looked: Callable[[], None]) -> None:
    """Pings, and cuts the connection once it was silent for too long.

    Calls `ponged` at each pong, and `looked` once a second, after which `last_received` may have changed.

    Ends with the connection: cancel it there.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_ping, connection, ponged)
        await _silence(connection, looked)
        nursery.cancel_scope.cancel(reason="the peer is silent")
    await connection.abort(FeedLost(f"nothing was received for {SILENT_SECONDS:g}s"))


async def _silence(connection: Connection, looked: Callable[[], None]) -> None:
    while (left := connection.last_received.at + SILENT_SECONDS - trio.current_time()) > 0:
        looked()
        await trio.sleep(min(left, LOOK_SECONDS))
        # Where our own process stood still (a laptop's lid, SIGSTOP), what came meanwhile is read before it is judged.
        await trio.lowlevel.checkpoint()


async def _ping(connection: Connection, ponged: Callable[[], None]) -> None:
    """One ping at a time: where the pong does not come, the ping is still under way, and TCP sees to it."""
    try:
        while True:
            await trio.sleep(PING_SECONDS)
            await connection.ping()
            ponged()
    except FeedLost:
        return  # whoever receives is told why
