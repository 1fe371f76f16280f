"""Both ways to receive: what they make of invalid input, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from transport_help import both, connected, heard
from trio.testing import MockClock, memory_stream_pair
from wire_help import URL, accept, close, frame, ping

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.opening import Opener
from kalshi_trio.transport.seam import MAX_MESSAGE, Transport

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


def test_the_page_shows_this_table() -> None:
    page = (Path(__file__).parents[1] / "docs" / "transport.md").read_text(encoding="utf-8")
    rows = [
        tuple(row.strip(" |").split(" | ")) for row in page.splitlines() if row.startswith("| ") and "µs" not in row
    ]

    assert [(case, plain, tap) for case, (_, plain, tap) in INVALID.items()] == rows[2:]


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
