"""Both ways to receive hear the same messages, in the same order, whatever the chunks in which the bytes come."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, repeat

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from transport_help import TRANSPORTS, both, contexts, heard
from trio.testing import memory_stream_pair
from wire_help import URL, Peer, Server, close, frame, ping

from kalshi_trio.transport.dial import secure
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.opening import Opener
from kalshi_trio.transport.seam import MAX_MESSAGE, Transport


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
