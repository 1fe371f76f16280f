"""A connection of either kind to a scripted server, and what is heard of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import get_args

import pytest
import trio
import trustme
from wire_help import URL, Peer, Server

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.opening import Opener
from kalshi_trio.transport.seam import Connection, Transport

TRANSPORTS: tuple[Transport, ...] = get_args(Transport)
both = pytest.mark.parametrize("transport", TRANSPORTS)


@asynccontextmanager
async def connected(transport: Transport, *raw: bytes, cut: bool = False) -> AsyncIterator[Connection]:
    """A connection whose server sends these pieces and then cuts it, or waits for the goodbye."""

    async def script(peer: Peer) -> None:
        for piece in raw:
            await peer.raw(piece)
        if not cut:
            await peer.until_closed()

    async with trio.open_nursery() as nursery:
        opener = Opener(Server(nursery, script).dial, transport)
        yield await nursery.start(opener.hold, Endpoint(URL))
        nursery.cancel_scope.cancel(reason="the test is done")


async def heard(connection: Connection) -> tuple[list[bytes], FeedLost]:
    """All messages, and what ended them."""
    messages: list[bytes] = []
    while True:
        try:
            messages += (await connection.receive()).frames
        except FeedLost as lost:
            return messages, lost


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Server's and client's, of an authority of our own."""
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("exchange.test", "localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    return ours, theirs
