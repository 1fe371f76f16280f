"""Opening the bytes to an endpoint over TCP, and TLS where its URL says so."""

from __future__ import annotations

import ssl
from functools import partial

import trio

from kalshi_trio.transport.endpoint import Dial, Endpoint
from kalshi_trio.transport.seam import Transport
from kalshi_trio.transport.tls import TLSStream


def dialer(transport: Transport, context: ssl.SSLContext | None = None) -> Dial:
    """How `transport` dials: `tap` with our own TLS stream, `plain` with Trio's. Without `context`: the system's."""
    return partial(_dial, transport=transport, context=context)


async def _dial(endpoint: Endpoint, transport: Transport, context: ssl.SSLContext | None) -> trio.abc.Stream:
    stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
    if not endpoint.secure:
        return stream
    try:
        return await secure(stream, endpoint.host, transport, context or ssl.create_default_context())
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def secure(stream: trio.abc.Stream, host: str, transport: Transport, context: ssl.SSLContext) -> trio.abc.Stream:
    """TLS over `stream`, its handshake done."""
    if transport == "plain":
        theirs = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
        await theirs.do_handshake()
        return theirs
    ours = TLSStream(stream, context, host)
    await ours.do_handshake()
    return ours
