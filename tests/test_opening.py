"""Handshakes: what comes of each answer, and of none."""

from __future__ import annotations

import socket

import pytest
import trio
from transport_help import both
from trio.testing import MockClock, memory_stream_pair
from wire_help import URL, Peer, Server, frame, refuse

from kalshi_trio.errors import FeedLost, KeyRefused
from kalshi_trio.transport.dial import dialer
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.opening import CONNECT_SECONDS, Opener
from kalshi_trio.transport.seam import Transport


async def fails(transport: Transport, server: Server, *headers: tuple[bytes, bytes]) -> BaseException:
    """What comes of trying to connect."""
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(Opener(server.dial, transport).hold, Endpoint(URL, headers))
    except* (FeedLost, KeyRefused) as group:
        error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@both
@pytest.mark.parametrize(
    ("status", "body", "kind", "wait"),
    [
        (401, b'{"error":{"code":"authentication_error","details":"NOT_FOUND"}}', KeyRefused, 0),
        (401, b"", KeyRefused, 0),
        (401, b'{"error":{"code":"header_timestamp_expired"}}', FeedLost, 0),
        (429, b'{"error":"too many requests"}', FeedLost, 20),
        (503, b"", FeedLost, 0),
    ],
)
async def test_a_refused_handshake_means_what_its_status_says(
    transport: Transport, status: int, body: bytes, kind: type[Exception], wait: float, nursery: trio.Nursery
) -> None:
    error = await fails(transport, Server(nursery, refusals={1: refuse(status, body)}))

    assert isinstance(error, kind)
    assert wait == getattr(error, "wait", 0)


@both
async def test_a_refusal_that_quotes_the_key_is_shown_on_one_line_without_it(
    transport: Transport, nursery: trio.Nursery
) -> None:
    key_id = b"a952bcbe-ec3b-4b5b-b8f9-11dae589608c"
    body = b"x" * 180 + b"no key " + key_id + b"\n\x1b[31m" + b"y" * 5000
    server = Server(nursery, refusals={1: refuse(401, body)})

    error = await fails(transport, server, (b"KALSHI-ACCESS-KEY", key_id))

    assert isinstance(error, KeyRefused)
    assert "xno key … [31my" in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 400


@both
async def test_a_server_that_never_answers_is_given_up_in_time(transport: Transport, autojump_clock: MockClock) -> None:
    async def dial(_: Endpoint) -> trio.abc.Stream:
        return memory_stream_pair()[0]

    with pytest.raises(ExceptionGroup) as group:
        async with trio.open_nursery() as nursery:
            await nursery.start(Opener(dial, transport).hold, Endpoint(URL))

    assert group.group_contains(FeedLost, match="did not answer within 15s")
    assert trio.current_time() == pytest.approx(CONNECT_SECONDS)


@both
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + frame(b"early"),
    ],
    ids=["no HTTP", "no acceptance"],
)
async def test_a_server_that_speaks_something_else_is_a_lost_feed(
    transport: Transport, answer: bytes, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def below(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await trio.sleep_forever()

    server = Server(nursery)
    server.below = below

    assert isinstance(await fails(transport, server), FeedLost)
    assert trio.current_time() < 1
    nursery.cancel_scope.cancel(reason="the test is done")


@both
async def test_a_server_that_cannot_be_reached_is_a_lost_feed(transport: Transport) -> None:
    async def dial(_: Endpoint) -> trio.abc.Stream:
        raise OSError("no route")

    with pytest.raises(ExceptionGroup) as group:
        async with trio.open_nursery() as nursery:
            await nursery.start(Opener(dial, transport).hold, Endpoint(URL))

    assert group.group_contains(FeedLost, match="cannot connect: no route")


async def test_a_port_on_which_nobody_listens_is_said_as_such() -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(ExceptionGroup) as group:
            async with trio.open_nursery() as nursery:
                await nursery.start(Opener(dialer("tap")).hold, Endpoint(url))

    assert group.group_contains(FeedLost, match="cannot connect: .*refused")


@both
async def test_compression_is_not_offered(transport: Transport, nursery: trio.Nursery) -> None:
    server = Server(nursery, Peer.until_closed)
    endpoint = Endpoint(URL, ((b"KALSHI-ACCESS-KEY", b"id"),))
    await nursery.start(Opener(server.dial, transport).hold, endpoint)

    assert "sec-websocket-extensions" not in server.headers[0]
    assert server.headers[0]["kalshi-access-key"] == "id"
    nursery.cancel_scope.cancel(reason="the test is done")
