"""The frame tap and its splitter: what is cut out, what goes up, and that no chunking of the bytes changes it."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair
from wire_help import close, frame, ping

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.frame_tap import FrameTap
from kalshi_trio.transport.held import STALL_SECONDS, Held
from kalshi_trio.transport.seam import Arrival, Clock
from kalshi_trio.transport.splitter import Splitter

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
LIMIT = 1000


def cut(data: bytes, chunks: list[int] | None = None) -> tuple[list[bytes], bytes]:
    """Frames and what goes up; whatever goes up is taken for dealt with at once."""
    splitter = Splitter(LIMIT)
    frames: list[bytes] = []
    up = b""
    sizes = iter(chunks or [])
    while data:
        size = next(sizes, len(data))
        found, passed = splitter.split(data[:size])
        data = data[size:]
        frames += found
        up += passed
        while splitter.waiting:
            found, passed = splitter.resume()
            frames += found
            up += passed
    return frames, up


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
def test_a_whole_frame_of_any_length_is_cut_out(size: int) -> None:
    assert cut(frame(b"x" * size)) == ([b"x" * size], b"")


def test_a_frame_with_a_64_bit_length_is_cut_out() -> None:
    splitter = Splitter(1 << 20)

    assert splitter.split(frame(b"x" * 70_000)) == ([b"x" * 70_000], b"")


def test_binary_frames_are_cut_out_like_text() -> None:
    assert cut(frame(b"\xff\x00", 2)) == ([b"\xff\x00"], b"")


@pytest.mark.parametrize("control", [ping(), frame(b"heartbeat", 10)])
def test_control_frames_go_up_and_hold_up_nothing(control: bytes) -> None:
    assert cut(frame(b"a") + control + frame(b"b")) == ([b"a", b"b"], control)


ODD = {
    "masked": frame(b"odd", masked=True),
    "reserved bit": frame(b"odd", rsv=4),
    "needlessly long length": b"\x81\x7e\x00\x03odd",
    "needlessly longer length": b"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x03odd",
    "unknown opcode": frame(b"odd", 3),
    "stray continuation": frame(b"odd", 0),
    "long ping": frame(b"p" * 126, 9),
    "ping in fragments": frame(b"p", 9, fin=False),
    "close": close(1001),
    "a whole message inside a fragmented one": frame(b"odd", fin=False) + frame(b"whole"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_after_a_close_or_a_broken_rule_everything_goes_up(odd: bytes) -> None:
    assert cut(frame(b"before") + odd + frame(b"after")) == ([b"before"], odd + frame(b"after"))


JUDGED = {
    "fragments": frame(b"one", fin=False) + ping() + frame(b"two", 0, fin=False) + frame(b"three", 0),
    "oversized": frame(b"x" * (LIMIT + 1)),
    "oversized fragments": frame(b"x" * (LIMIT + 1), fin=False) + frame(b"end", 0),
}


@pytest.mark.parametrize("judged", JUDGED.values(), ids=JUDGED)
def test_a_message_that_wsproto_must_judge_goes_up_and_nothing_overtakes_it(judged: bytes) -> None:
    splitter = Splitter(LIMIT)

    assert splitter.split(frame(b"before") + judged + frame(b"after")) == ([b"before"], judged)
    assert splitter.waiting
    assert splitter.split(frame(b"later")) == ([], b"")
    assert splitter.resume() == ([b"after", b"later"], b"")


PARTS = st.one_of(
    st.binary(max_size=300).map(frame),
    st.sampled_from([ping(), frame(b"x" * 1500), *JUDGED.values()]),
)


@given(st.lists(PARTS, max_size=12), st.sampled_from([b"", *ODD.values()]), st.data())
def test_the_chunks_in_which_bytes_come_change_nothing(parts: list[bytes], odd: bytes, data: st.DataObject) -> None:
    stream = b"".join(parts) + odd
    sizes = data.draw(st.lists(st.integers(1, 400), max_size=30))

    assert cut(stream) == cut(stream, sizes)


def test_a_byte_at_a_time_gives_the_same_too() -> None:
    stream = frame(b"a" * 200) + JUDGED["fragments"] + frame(b"b") + JUDGED["oversized"] + frame(b"c") + close(1000)

    assert cut(stream) == cut(stream, [1] * len(stream))


async def open_tap(held: Held) -> tuple[FrameTap, trio.abc.Stream]:
    near, far = memory_stream_pair()
    tap = FrameTap(near, held, Clock(iter(range(100, 200)).__next__, iter(range(200, 300)).__next__))
    await far.send_all(ANSWER)
    assert await tap.receive_some() == ANSWER
    return tap, far


async def test_frames_behind_the_answer_in_one_read_are_tapped() -> None:
    held = Held()
    near, far = memory_stream_pair()
    await far.send_all(ANSWER + frame(b"early") + ping())

    assert await FrameTap(near, held, Clock()).receive_some() == ANSWER + ping()
    assert (await held.take()).frames == [b"early"]


async def test_an_answer_that_comes_in_pieces_is_passed_on_in_pieces() -> None:
    held = Held()
    near, far = memory_stream_pair()
    tap = FrameTap(near, held, Clock())
    passed = b""
    for byte in ANSWER:
        await far.send_all(bytes([byte]))
        passed += await tap.receive_some()
    await far.send_all(frame(b"first") + ping())

    assert ANSWER + ping() == passed + await tap.receive_some()
    assert (await held.take()).frames == [b"first"]


async def test_a_refusal_goes_up_with_its_body_and_is_never_cut() -> None:
    near, far = memory_stream_pair()
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\n" + frame(b"body")
    await far.send_all(refusal)

    assert await FrameTap(near, Held(), Clock()).receive_some() == refusal


async def test_an_end_during_the_handshake_is_a_lost_feed() -> None:
    near, far = memory_stream_pair()
    await far.aclose()

    with pytest.raises(FeedLost, match="hung up during the handshake"):
        await FrameTap(near, Held(), Clock()).receive_some()


async def test_all_frames_of_a_read_share_the_stamps_of_its_return() -> None:
    held = Held()
    tap, far = await open_tap(held)
    await far.send_all(frame(b"a") + frame(b"b") + ping())
    await tap.receive_some()

    assert await held.take() == (101, 201, [b"a", b"b"])


async def test_what_came_back_from_above_keeps_its_place(autojump_clock: MockClock) -> None:
    held = Held()
    tap, far = await open_tap(held)
    await far.send_all(frame(b"a") + frame(b"b", fin=False) + frame(b"b", 0) + frame(b"c") + ping())
    assert await tap.receive_some() == frame(b"b", fin=False) + frame(b"b", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tap.receive_some)
        await trio.sleep(1)
        tap.hand_back(b"bb")

    assert [arrival.frames for arrival in held.rest()] == [[b"a"], [b"bb"], [b"c"]]


async def test_a_message_handed_back_before_the_next_read_does_not_hang_it() -> None:
    held = Held()
    tap, far = await open_tap(held)
    await far.send_all(frame(b"b", fin=False) + frame(b"b", 0) + frame(b"c") + ping())
    await tap.receive_some()
    tap.hand_back(b"bb")

    assert await tap.receive_some() == ping()


async def test_reading_stops_while_too_much_is_held_and_goes_on_when_it_is_taken(
    autojump_clock: MockClock,
) -> None:
    held = Held(limit=100)
    tap, far = await open_tap(held)
    await far.send_all(frame(b"x" * 99) + frame(b"x"))
    with trio.move_on_after(STALL_SECONDS - 1) as waiting:
        await tap.receive_some()
    assert waiting.cancelled_caught
    await far.send_all(ping())
    with trio.move_on_after(STALL_SECONDS - 1) as waiting:
        await tap.receive_some()
    assert waiting.cancelled_caught

    await held.take()

    assert await tap.receive_some() == ping()


async def test_taking_the_rest_makes_room_too(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    held = Held(limit=10)
    held.put(Arrival(1, 1, [b"x" * 10]))

    async def takes() -> None:
        await trio.sleep(1)
        held.rest()

    nursery.start_soon(takes)

    assert await held.room()
    assert trio.current_time() == pytest.approx(1)


async def test_a_connection_whose_frames_nobody_takes_is_given_up_and_keeps_them(
    autojump_clock: MockClock,
) -> None:
    held = Held(limit=100)
    tap, far = await open_tap(held)
    await far.send_all(frame(b"x" * 100))
    with pytest.raises(trio.BrokenResourceError):
        await tap.receive_some()

    assert trio.current_time() == pytest.approx(STALL_SECONDS)
    assert (await held.take()).frames == [b"x" * 100]
    with pytest.raises(FeedLost) as lost:
        await held.take()
    assert lost.value.cause == "stall"


async def test_taking_that_is_cancelled_loses_nothing(autojump_clock: MockClock) -> None:
    held = Held()
    tap, far = await open_tap(held)
    with trio.move_on_after(1):
        await held.take()
    await far.send_all(frame(b"a") + ping())
    await tap.receive_some()
    with trio.CancelScope() as scope:
        scope.cancel(reason="at once")
        await held.take()

    assert (await held.take()).frames == [b"a"]
