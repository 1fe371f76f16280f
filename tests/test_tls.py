"""Our TLS stream, against Trio's at the other end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from transport_help import both, contexts
from trio.testing import MockClock, memory_stream_pair
from wire_help import Peer, Server

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.dial import dialer
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.opening import Opener
from kalshi_trio.transport.seam import Connection, Transport
from kalshi_trio.transport.tls import TLSStream

Theirs = trio.SSLStream[trio.abc.Stream]


async def pair(nursery: trio.Nursery) -> tuple[TLSStream, Theirs, trio.abc.Stream]:
    """Our end and theirs, hands shaken, and the bare stream beneath theirs."""
    near, far = memory_stream_pair()
    server, client = contexts()
    theirs: Theirs = trio.SSLStream(far, server, server_side=True)
    ours = TLSStream(near, client, "localhost")
    nursery.start_soon(theirs.do_handshake)
    await ours.do_handshake()
    return ours, theirs, far


async def test_all_records_of_one_read_come_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    ours, theirs, _ = await pair(nursery)
    for number in range(100):
        await theirs.send_all(b"%02d" % number)

    assert await ours.receive_some() == b"".join(b"%02d" % number for number in range(100))


async def test_a_record_that_comes_in_pieces_is_waited_for(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    ours, theirs, _ = await pair(nursery)
    beneath = ours._stream
    assert isinstance(beneath, trio.StapledStream)
    await theirs.send_all(b"x" * 10_000)
    whole = beneath.receive_stream
    slow_in, beneath.receive_stream = trio.testing.memory_stream_one_way_pair()
    data = bytes(await whole.receive_some())

    async def drip() -> None:
        for start in range(0, len(data), 1000):
            await slow_in.send_all(data[start : start + 1000])
            await trio.sleep(1)

    nursery.start_soon(drip)

    assert await ours.receive_some() == b"x" * 10_000
    assert trio.current_time() >= (len(data) - 1) // 1000


async def test_what_is_sent_arrives_whole(nursery: trio.Nursery) -> None:
    ours, theirs, _ = await pair(nursery)
    nursery.start_soon(ours.send_all, b"y" * 100_000)
    got = b""
    while len(got) < 100_000:
        got += bytes(await theirs.receive_some())

    assert got == b"y" * 100_000


@pytest.mark.parametrize("goodbye", [True, False])
async def test_an_end_with_and_without_tls_goodbye_comes_after_all_data(nursery: trio.Nursery, goodbye: bool) -> None:
    ours, theirs, far = await pair(nursery)
    await theirs.send_all(b"last")
    if goodbye:
        nursery.start_soon(theirs.aclose)
    else:
        await far.aclose()
    with trio.fail_after(1):
        got = [await ours.receive_some() for _ in range(3)]
    await ours.aclose()

    assert got == [b"last", b"", b""]


async def test_rubbish_instead_of_tls_breaks_the_stream(nursery: trio.Nursery) -> None:
    ours, _, far = await pair(nursery)
    await far.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with pytest.raises(trio.BrokenResourceError):
        await ours.receive_some()


async def test_a_send_that_was_cut_off_breaks_all_later_ones(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    ours, _, _ = await pair(nursery)
    beneath = ours._stream
    assert isinstance(beneath, trio.StapledStream)
    beneath.send_stream = trio.testing.MemorySendStream(send_all_hook=trio.sleep_forever)
    with trio.move_on_after(1):
        await ours.send_all(b"cut off")

    with pytest.raises(trio.BrokenResourceError, match="cut off"):
        await ours.send_all(b"more")


async def test_a_blocked_send_does_not_hold_up_receiving(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    ours, theirs, _ = await pair(nursery)
    beneath = ours._stream
    assert isinstance(beneath, trio.StapledStream)
    beneath.send_stream = trio.testing.MemorySendStream(send_all_hook=trio.sleep_forever)
    nursery.start_soon(ours.send_all, b"nobody reads this")
    await theirs.send_all(b"news")

    assert await ours.receive_some() == b"news"
    nursery.cancel_scope.cancel(reason="the test is done")


async def test_a_peer_that_goes_away_in_the_handshake_breaks_it(nursery: trio.Nursery) -> None:
    near, far = memory_stream_pair()
    await far.aclose()

    with pytest.raises(trio.BrokenResourceError):
        await TLSStream(near, contexts()[1], "localhost").do_handshake()


async def tries(transport: Transport, serve: Callable[[trio.SocketStream], Awaitable[object]], url: str) -> str:
    """What comes of connecting to a real socket on loopback."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, listeners)
            opener = Opener(dialer(transport, contexts()[1]), transport)
            connection: Connection = await nursery.start(opener.hold, Endpoint(url.format(port=port)))
            await connection.send("hello")
            arrival = await connection.receive()
            nursery.cancel_scope.cancel(reason="the test is done")
            return arrival.frames[0].decode()  # noqa: ASYNC121  nothing else runs in it any more
    except* FeedLost as group:
        lost: BaseException = group
        while isinstance(lost, BaseExceptionGroup):
            lost = lost.exceptions[0]
    return str(lost)


async def echoes(stream: trio.abc.Stream) -> None:
    """A websocket server that says back what it hears."""

    async def script(peer: Peer) -> None:
        await peer.websocket.send_message(await peer.websocket.get_message())
        await peer.until_closed()

    async with trio.open_nursery() as nursery:
        await Server(nursery, script).serve(stream, 1)


async def echoes_over_tls(stream: trio.abc.Stream) -> None:
    await echoes(trio.SSLStream(stream, contexts()[0], server_side=True, https_compatible=True))


@both
async def test_real_sockets_with_and_without_tls(transport: Transport) -> None:
    assert await tries(transport, echoes, "ws://localhost:{port}/x") == "hello"
    assert await tries(transport, echoes_over_tls, "wss://localhost:{port}/x") == "hello"


@both
async def test_a_certificate_for_another_host_is_refused(transport: Transport) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        theirs = trio.SSLStream(stream, contexts()[0], server_side=True)
        with pytest.raises(trio.BrokenResourceError):
            await theirs.do_handshake()

    said = await tries(transport, serve, "wss://127.0.0.1:{port}/x")

    assert said.startswith("wss://127.0.0.1:")
    assert "certificate" in said.lower()


@both
async def test_a_port_nobody_listens_on_is_a_lost_feed(transport: Transport) -> None:
    assert "cannot connect" in await tries(transport, partial(trio.sleep, 0), "ws://127.0.0.1:9/x")
