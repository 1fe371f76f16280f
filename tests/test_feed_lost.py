"""Connections that are lost, refused, dead or too slow, in virtual time: the feed gets over all but a refused key."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
import trio
from feed_help import Scene, says, says_and_hangs_up, says_and_is_cut
from trio.testing import MockClock
from wire_help import URL, Peer, accept, close, frame, refuse

from kalshi_trio.errors import KeyRefused
from kalshi_trio.protocol.links import Command, HangUp
from kalshi_trio.tasks.feed import ROOM_SECONDS
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.seam import Transport

both = pytest.mark.parametrize("transport", get_args(Transport))


@both
async def test_a_server_that_hangs_up_is_called_again_with_a_new_signature(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, (says_and_hangs_up, says_and_hangs_up, says("last")), transport=transport)
    scene.start()
    await trio.sleep(30)
    await scene.finish()

    assert scene.journal.of("frame") == [b"of 1", b"of 2", b"last"]
    assert [headers["signature"] for headers in scene.server.headers] == ["1", "2", "3"]
    first, second, last = scene.journal.events("closed")
    assert [first["reason"], second["reason"]] == ["closed with 1001 GOING_AWAY: restart"] * 2
    assert (first["cause"], first["final"], last["final"]) == ("reconnect", False, True)
    assert [first["connection"], second["connection"], last["connection"]] == [1, 2, 3]
    assert (scene.stats.reconnects, scene.stats.connection) == (2, 3)


async def test_a_storm_of_reconnects_waits_longer_each_time_up_to_half_a_minute(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, (says_and_hangs_up,))
    scene.start()
    await trio.sleep(120)
    await scene.finish()

    times = scene.server.dialled
    waits = [round(later - earlier) for earlier, later in pairwise(times)]
    assert waits[:7] == [1, 2, 4, 8, 16, 30, 30]


async def test_after_a_healthy_minute_waits_start_small_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def lives(peer: Peer) -> None:
        if peer.number == 4:
            await trio.sleep(61)

    scene = Scene(nursery, (lives,))
    scene.start()
    await trio.sleep(75)
    await scene.finish()

    times = scene.server.dialled
    assert [round(later - earlier) for earlier, later in pairwise(times[:5])] == [1, 2, 4, 62]


async def test_whole_frames_before_a_cut_are_kept_and_half_of_one_is_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, (says_and_is_cut, says()))
    scene.start()
    await trio.sleep(5)
    await scene.finish()

    assert scene.journal.of("frame") == [b"whole"]
    assert "1006" in scene.journal.events("closed")[0]["reason"]


async def test_a_refused_key_ends_the_feed(autojump_clock: MockClock) -> None:
    with pytest.raises(ExceptionGroup) as group:  # noqa: PT012 -- a nursery is what raises groups
        async with trio.open_nursery() as nursery:
            scene = Scene(nursery, (), refusals={1: refuse(401, b'{"error":{"code":"authentication_error"}}')})
            scene.start()

    assert group.group_contains(KeyRefused, match="authentication_error")
    assert [event["event"] for event in scene.journal.events()] == ["opening", "closed"]


async def test_a_key_that_was_good_once_is_tried_again_and_again_when_it_is_refused(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused for half an hour, with something else in between: a line a change, and one every ten minutes."""
    denied = refuse(401, b'{"error":{"code":"authentication_error"}}')
    refusals = dict.fromkeys(range(2, 40), denied) | {5: refuse(503)}
    scene = Scene(nursery, (says_and_hangs_up, *[says()] * 38, says("back")), refusals=refusals)
    scene.start()
    await trio.sleep(30)

    assert scene.stats.key_refused_ns > 0
    await trio.sleep(2_000)

    times = scene.server.dialled
    waits = [round(later - earlier) for earlier, later in pairwise(times)]
    assert waits[1:4] == [1, 2, 4]
    assert set(waits[12:]) == {60}
    assert scene.stats.key_refused_ns == 0
    assert scene.stats.state == "connected"
    assert scene.journal.of("frame") == [b"of 1", b"back"]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    about = [line for line in warned if "key" in line]
    assert len(about) == 1 + 3 + 1
    assert "since the key was good before: The exchange refused the API key (401 " in about[0]
    assert about[-1].startswith("The exchange takes the key again, after 1925s")
    assert len(scene.journal.events("closed")) == 39
    await scene.finish()


async def test_a_key_is_refused_for_good_when_it_never_was_good_whatever_came_before(autojump_clock: MockClock) -> None:
    denied = refuse(401, b'{"error":{"code":"authentication_error"}}')
    expired = refuse(401, b'{"error":{"code":"header_timestamp_expired"}}')
    with pytest.raises(ExceptionGroup) as group:  # noqa: PT012 -- a nursery is what raises groups
        async with trio.open_nursery() as nursery:
            scene = Scene(nursery, (says(),), refusals={1: refuse(503), 2: expired, 3: denied})
            scene.start()

    assert group.group_contains(KeyRefused, match="authentication_error")
    assert len(scene.server.dialled) == 3


async def test_a_close_that_quotes_the_key_leaves_no_trace_of_it(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    key_id = "a952bcbe-ec3b-4b5b-b8f9-11dae589608c"

    async def tells(peer: Peer) -> None:
        await peer.raw(close(1008, b"y" * 80 + b" " + key_id.encode()))

    scene = Scene(nursery, (tells,))
    scene.feed.sign = lambda _: Endpoint(URL, ((b"KALSHI-ACCESS-KEY", key_id.encode()),))
    scene.start()
    await trio.sleep(5)
    await scene.finish()

    assert scene.journal.events("closed")[0]["reason"].endswith("yyy …")
    assert key_id[:8] not in str(scene.journal.records) + caplog.text + scene.stats.last_error


async def test_a_refused_time_stamp_is_signed_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    expired = refuse(401, b'{"error":{"code":"header_timestamp_expired"}}')
    scene = Scene(nursery, (says(), says("now")), refusals={1: expired})
    scene.start()
    await trio.sleep(5)
    await scene.finish()

    assert scene.journal.of("frame") == [b"now"]
    assert "clock" in scene.journal.events("closed")[0]["reason"]
    assert len(scene.signed) == 2


async def test_too_many_connections_are_not_made_more(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene(nursery, (says(), says("in")), refusals={1: refuse(429)})
    scene.start()
    await trio.sleep(19)
    assert len(scene.server.dialled) == 1
    await trio.sleep(3)
    await scene.finish()

    assert scene.journal.of("frame") == [b"in"]


async def test_a_quiet_server_that_answers_pings_is_kept(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene(nursery, (Peer.until_closed,))
    scene.start()
    await trio.sleep(300)
    assert scene.stats.last_pong_mono_ns / 1e9 == pytest.approx(trio.current_time(), abs=11)
    await scene.finish()

    assert len(scene.server.dialled) == 1


@both
async def test_a_server_that_answers_no_ping_is_left_within_half_a_minute(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def is_deaf(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await stream.send_all(frame(b"alive so far"))
        await trio.sleep_forever()

    scene = Scene(nursery, (), transport=transport)
    scene.server.below = is_deaf
    scene.start()
    await trio.sleep(32)

    assert scene.journal.of("frame")[:1] == [b"alive so far"]
    assert scene.journal.events("closed")[0]["reason"] == "nothing was received for 30s"
    assert scene.journal.events("closed")[0]["at"] == pytest.approx(30, abs=0.1)
    nursery.cancel_scope.cancel(reason="the test is done")


async def test_a_connection_is_left_when_the_subscriber_wants_a_new_one(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, (says("a"), says("b")))
    scene.start()
    await trio.sleep(1)
    await scene.orders.send(HangUp(1, "no snapshot of A"))
    await trio.sleep(5)
    await scene.finish()

    assert scene.journal.events("closed")[0]["reason"] == "no snapshot of A"
    assert scene.journal.of("frame") == [b"a", b"b"]


class Clogged(trio.abc.Stream):
    """Lets bytes through one way only, once `shut`: the peer has stopped reading."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.shut = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.shut:
            await trio.sleep_forever()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_a_peer_that_does_not_read_holds_up_nobody_and_is_left(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def talks(peer: Peer) -> None:
        while True:
            await peer.send("tick")
            await trio.sleep(1)

    clogged: list[Clogged] = []

    async def dial(endpoint: Endpoint) -> trio.abc.Stream:
        clogged.append(Clogged(await scene.server.dial(endpoint)))
        return clogged[-1]

    scene = Scene(nursery, (talks,))
    scene.feed.dial = dial
    scene.start()
    await trio.sleep(1)
    clogged[0].shut = True
    for number in range(8):
        scene.orders.send_nowait(Command(1, number, "a command"))
    await trio.sleep(18)
    assert len(scene.journal.of("frame")) >= 19
    await trio.sleep(5)
    assert "a command was not taken" in scene.journal.events("closed")[0]["reason"]
    await scene.finish()
    nursery.cancel_scope.cancel(reason="the test is done")


@pytest.mark.parametrize(("unwritable", "cause"), [(None, "stall"), (0.0, "unwritable")])
async def test_a_disk_that_takes_nothing_ends_the_connection_and_nothing_that_came_is_lost(
    unwritable: float | None, cause: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def talks(peer: Peer) -> None:
        for number in range(100):
            await peer.send(f"{number}")
            await trio.sleep(0.1)

    scene = Scene(nursery, (talks, says("again")))
    scene.journal.unwritable_since = unwritable
    scene.start()
    await trio.sleep(1)
    scene.journal.full = True
    await trio.sleep(60)

    kept = len(scene.journal.of("frame"))
    assert [b"%d" % number for number in range(kept)] == scene.journal.of("frame")
    assert kept == pytest.approx(10 * (1 + ROOM_SECONDS), abs=2)
    assert cause == scene.journal.events("closed")[0]["cause"]
    assert len(scene.journal.of("stall" if cause == "stall" else "unwritable")) == 1
    assert len(scene.server.dialled) == 1

    scene.journal.full = False
    await trio.sleep(1)

    assert scene.journal.of("frame")[-1] == b"again"
    await scene.finish()


async def test_a_short_wait_for_the_disk_is_recorded_and_costs_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, (says("a", "b"),))
    scene.journal.full = True
    scene.start()
    await trio.sleep(3)
    scene.journal.full = False
    await trio.sleep(1)
    await scene.finish()

    assert 1 == scene.stats.stalls == len(scene.journal.of("stall"))
    assert len(scene.server.dialled) == 1


async def test_an_event_loop_that_is_late_is_no_disk_that_is_behind(
    nursery: trio.Nursery, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Time goes by while the feed is about to look for room: it was the loop's, since nothing waits for the disk."""
    scene = Scene(nursery, (says("a", "b"),))

    async def late() -> None:
        mock_clock.jump(3)
        await trio.lowlevel.checkpoint()

    scene.journal.room = late  # type: ignore[method-assign]  # what the real one does where there is room: a checkpoint
    mock_clock.autojump_threshold = 0
    scene.start()
    await trio.sleep(10)
    await scene.finish()

    assert scene.journal.of("frame") == [b"a", b"b"]
    assert 0 == scene.stats.stalls == len(scene.journal.of("stall"))
    assert "behind" not in caplog.text


async def test_a_disk_that_is_behind_again_and_again_is_said_seldom(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def talks(peer: Peer) -> None:
        while True:
            await peer.send("tick")
            await trio.sleep(0.5)

    scene = Scene(nursery, (talks,))
    scene.start()
    for _ in range(100):
        scene.journal.full = True
        await trio.sleep(0.75)
        scene.journal.full = False
        await trio.sleep(0.25)
    await scene.finish()

    lines = [line for line in caplog.messages if "the journal's disk is behind" in line]
    assert scene.stats.stalls == len(scene.journal.of("stall"))
    assert 90 <= scene.stats.stalls <= 100
    assert len(lines) == 10
    assert lines[0].startswith("Reading stood still for 0.")
    assert " in 10 waits:" in lines[1]
    nursery.cancel_scope.cancel(reason="the test is done")
