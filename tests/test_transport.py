"""Both ways to receive, over a real websocket: the same messages for valid input, and what each does with the rest."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache, partial
from itertools import chain, repeat
from typing import get_args

import pytest
import trio
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair
from wire_help import URL, Peer, Server, accept, close, frame, ping, refuse

from kalshi_trio.errors import FeedLost, KeyRefused
from kalshi_trio.transport.dial import secure
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.opening import CONNECT_SECONDS, Opener
from kalshi_trio.transport.seam import MAX_MESSAGE, Connection, Transport

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


class Chopped(trio.abc.Stream):
    """Gives its bytes in pieces of the sizes told and a large one, over and over."""

    def __init__(self, stream: trio.abc.Stream, sizes: list[int]) -> None:
        self._stream = stream
        self._sizes: Iterator[int] = chain.from_iterable(repeat([*sizes, 3000]))

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 -- it has sizes of its own
        return bytes(await self._stream.receive_some(next(self._sizes)))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Server's and client's, of an authority of our own."""
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("exchange.test").configure_cert(ours)
    authority.configure_trust(theirs)
    return ours, theirs


async def played(transport: Transport, pieces: list[bytes], sizes: list[int], *, tls: bool) -> list[bytes]:
    """What a client hears of `pieces`, a write each, when it reads in chunks of `sizes`."""

    async def script(peer: Peer) -> None:
        for piece in pieces:
            await peer.raw(piece)
        await peer.raw(close(1001))
        await peer.until_closed()

    async with trio.open_nursery() as nursery:
        server = Server(nursery, script)

        async def dial(endpoint: Endpoint) -> trio.abc.Stream:
            near, far = memory_stream_pair()
            client = Chopped(near, sizes)
            if not tls:
                nursery.start_soon(server.serve, far, 1)
                return client
            theirs, ours = contexts()
            nursery.start_soon(server.serve, trio.SSLStream(far, theirs, server_side=True, https_compatible=True), 1)
            return await secure(client, endpoint.host, transport, ours)

        connection = await nursery.start(Opener(dial, transport).hold, Endpoint(URL))
        messages, lost = await heard(connection)
        assert "1001" in str(lost)
        nursery.cancel_scope.cancel(reason="all was heard")
    return messages


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Messages, and the frames that carry them: whole or in fragments, with pings in between."""
    messages = draw(st.lists(st.one_of(st.text(max_size=60), st.just("ü" * 40_000)).map(str.encode), max_size=8))
    pieces: list[bytes] = []
    for message in messages:
        ends = sorted(draw(st.lists(st.integers(0, len(message)), max_size=2)))
        parts = [message[start:end] for start, end in zip([0, *ends], [*ends, len(message)], strict=True)]
        for number, part in enumerate(parts):
            pieces.append(frame(part, 0 if number else 1, fin=number == len(parts) - 1))
            pieces += [ping()] * draw(st.integers(0, 1))
    return messages, pieces


@settings(max_examples=25, deadline=None)
@given(
    conversations(),
    st.lists(st.integers(1, 300), max_size=12),
    st.booleans(),
    st.booleans(),
)
def test_both_transports_hear_the_same_messages_in_the_same_order_in_any_chunks(
    conversation: tuple[list[bytes], list[bytes]], sizes: list[int], one_write: bool, tls: bool
) -> None:
    messages, pieces = conversation
    written = [b"".join(pieces)] if one_write else pieces
    for transport in TRANSPORTS:
        assert messages == trio.run(partial(played, transport, written, sizes, tls=tls))


@both
@pytest.mark.parametrize("tls", [False, True])
async def test_a_message_of_two_mebibytes_is_heard(transport: Transport, tls: bool) -> None:
    large = b"x" * (2 << 20)

    assert [large, b"after"] == await played(transport, [frame(large), frame(b"after")], [65_536], tls=tls)


@both
async def test_a_message_of_many_bytes_but_not_too_many_characters_is_heard_in_its_place(transport: Transport) -> None:
    large = "ü".encode() * (MAX_MESSAGE // 2 + 1)
    pieces = [frame(b"before"), frame(large), frame(b"after")]

    assert [b"before", large, b"after"] == await played(transport, pieces, [1 << 20], tls=False)


INVALID: dict[str, tuple[bytes, str, str]] = {
    "not UTF-8": (frame(b"\xff\xfe"), "1007", "handed over"),
    "not UTF-8, in fragments": (frame(b"\xff", fin=False) + frame(b"\xfe", 0), "1007", "1007"),
    "masked": (frame(b"odd", masked=True), "1002", "1002"),
    "a reserved bit": (frame(b"odd", rsv=4), "1002", "1002"),
    "a longer length than needed": (b"\x81\x7e\x00\x03odd", "1002", "1002"),
    "an unknown opcode": (frame(b"odd", 3), "1002", "1002"),
    "a stray continuation": (frame(b"odd", 0), "1002", "1002"),
    "a ping of 126 bytes": (frame(b"p" * 126, 9), "1002", "1002"),
    "a message inside a fragmented one": (frame(b"a", fin=False) + frame(b"b"), "1002", "1002"),
    "more than 16 MiB": (frame(b"x" * (MAX_MESSAGE + 1)), "1009", "1009"),
    "close 1001": (close(1001, b"restart"), "1001", "1001"),
    "close 1008": (close(1008), "1008", "1008"),
    "cut amid a frame": (frame(b"half a frame")[:5], "1006", "1006"),
}
"""Bytes, and what plain trio-websocket and the tap do with them; docs/transport.md shows this table."""


@pytest.mark.parametrize("case", INVALID)
@both
async def test_invalid_input_is_dealt_with_as_the_table_says(
    transport: Transport, case: str, autojump_clock: MockClock
) -> None:
    raw, plain, tap = INVALID[case]
    expected = plain if transport == "plain" else tap
    async with connected(transport, frame(b"before") + raw + frame(b"after"), cut=True) as connection:
        messages, lost = await heard(connection)

    if expected == "handed over":
        assert messages == [b"before", b"\xff\xfe", b"after"]
    elif case == "cut amid a frame":
        assert messages[0] == b"before"
    else:
        assert messages == [b"before"]
        assert f"closed with {expected}" in str(lost)


@both
async def test_binary_messages_are_heard_as_the_bytes_they_are(transport: Transport) -> None:
    async with connected(transport, frame(b"\xff\x00", 2)) as connection:
        assert (await connection.receive()).frames == [b"\xff\x00"]


@both
async def test_what_was_received_is_handed_out_before_the_end_is_told(transport: Transport) -> None:
    async with connected(transport, *[frame(b"%d" % n) for n in range(100)], cut=True) as connection:
        await trio.testing.wait_all_tasks_blocked()

        messages, _ = await heard(connection)

    assert [b"%d" % n for n in range(100)] == messages


@both
async def test_an_aborted_connection_tells_the_reason_it_was_given(transport: Transport) -> None:
    async with connected(transport) as connection:
        await connection.abort(FeedLost("no pong", cause="stall"))

        _, lost = await heard(connection)

    assert (str(lost), lost.cause) == ("no pong", "stall")


@both
async def test_a_goodbye_is_answered_and_ends_the_connection(transport: Transport) -> None:
    async with connected(transport) as connection:
        with trio.fail_after(1):
            await connection.aclose()
            await heard(connection)
            for use in (connection.ping(), connection.send("late")):
                with pytest.raises(FeedLost):
                    await use


@both
async def test_a_ping_of_the_server_during_the_goodbye_breaks_nothing(
    transport: Transport, autojump_clock: MockClock
) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await stream.send_all(frame(b"last"))
        await stream.receive_some()
        await stream.send_all(ping() + close(1000))

    async with trio.open_nursery() as nursery:

        async def dial(_: Endpoint) -> trio.abc.Stream:
            near, far = memory_stream_pair()
            nursery.start_soon(serve, far)
            return near

        connection = await nursery.start(Opener(dial, transport).hold, Endpoint(URL))
        assert (await connection.receive()).frames == [b"last"]
        with trio.move_on_after(1):  # trio-websocket's reader fails at such a ping, and its goodbye waits on
            await connection.aclose()
        with trio.fail_after(1):
            assert (await heard(connection))[0] == []
        nursery.cancel_scope.cancel(reason="the test is done")


@both
async def test_the_servers_date_is_kept(transport: Transport) -> None:
    async with connected(transport) as connection:
        assert connection.date == "Tue, 24 Nov 2026 05:01:02 GMT"


async def fails(transport: Transport, server: Server) -> BaseException:
    """What comes of trying to connect."""
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(Opener(server.dial, transport).hold, Endpoint(URL))
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
async def test_a_server_that_never_answers_is_given_up_in_time(transport: Transport, autojump_clock: MockClock) -> None:
    async def dial(_: Endpoint) -> trio.abc.Stream:
        return memory_stream_pair()[0]

    with pytest.raises(ExceptionGroup) as group:
        async with trio.open_nursery() as nursery:
            await nursery.start(Opener(dial, transport).hold, Endpoint(URL))

    assert group.group_contains(FeedLost, match="did not answer within 15s")
    assert trio.current_time() == pytest.approx(CONNECT_SECONDS)


@both
async def test_a_server_that_cannot_be_reached_is_a_lost_feed(transport: Transport) -> None:
    async def dial(_: Endpoint) -> trio.abc.Stream:
        raise OSError("no route")

    with pytest.raises(ExceptionGroup) as group:
        async with trio.open_nursery() as nursery:
            await nursery.start(Opener(dial, transport).hold, Endpoint(URL))

    assert group.group_contains(FeedLost, match="cannot connect: no route")


@both
async def test_compression_is_not_offered(transport: Transport, nursery: trio.Nursery) -> None:
    server = Server(nursery, Peer.until_closed)
    endpoint = Endpoint(URL, ((b"KALSHI-ACCESS-KEY", b"id"),))
    await nursery.start(Opener(server.dial, transport).hold, endpoint)

    assert "sec-websocket-extensions" not in server.headers[0]
    assert server.headers[0]["kalshi-access-key"] == "id"
    nursery.cancel_scope.cancel(reason="the test is done")
