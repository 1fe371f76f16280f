"""What was heard of a peer, by both transports: it is alive as long as anything comes, and its end says when that was last."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import trio
from feed_help import WALL_NS, Scene, says, wall_ns
from trio.testing import MockClock
from wire_help import Peer, accept, close, frame, ping, refuse

from kalshi_trio.transport.seam import Clock, Transport

both = pytest.mark.parametrize("transport", get_args(Transport))


def heard(closed: dict[str, Any]) -> float:
    """Seconds of the virtual clock."""
    return float((closed["heard_ns"] - WALL_NS) / 1e9)


async def last_end(scene: Scene, seconds: float) -> dict[str, Any]:
    """Runs the feed for so long; how its first connection ended."""
    scene.start()
    await trio.sleep(seconds)
    return scene.journal.events("closed")[0]


@both
async def test_a_silent_peer_is_cut_after_thirty_seconds_and_was_heard_last_before_them(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def falls_silent(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await trio.sleep(7)
        await stream.send_all(frame(b"last"))
        await trio.sleep_forever()

    scene = Scene(nursery, (), transport=transport)
    scene.server.below = falls_silent
    closed = await last_end(scene, 40)

    assert (heard(closed), closed["at"]) == (7, 37)
    assert closed["reason"] == "nothing was received for 30s"
    nursery.cancel_scope.cancel(reason="the test is done")


@both
async def test_a_peer_that_is_cut_off_in_a_frame_was_heard_when_its_last_bytes_came(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def half_open(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await trio.sleep(3)
        await stream.send_all(frame(b"whole") + frame(b"half")[:4])
        await trio.sleep_forever()

    scene = Scene(nursery, (), transport=transport)
    scene.server.below = half_open
    closed = await last_end(scene, 35)

    assert (heard(closed), closed["at"]) == (3, 33)
    assert scene.journal.of("frame") == [b"whole"]
    nursery.cancel_scope.cancel(reason="the test is done")


@both
@pytest.mark.parametrize(("last_words", "when"), [(b"", 2), (close(1001, b"restart"), 5)], ids=["cut", "closed"])
async def test_an_end_says_when_the_last_bytes_came(
    last_words: bytes, when: float, transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def ends(peer: Peer) -> None:
        await trio.sleep(2)
        await peer.send("last frame")
        await trio.sleep(3)
        if last_words:
            await peer.raw(last_words)

    scene = Scene(nursery, (ends, says()), transport=transport)
    closed = await last_end(scene, 20)

    assert (heard(closed), closed["at"]) == (when, 5)
    await scene.finish()


@both
async def test_the_answer_to_the_handshake_is_heard_and_nothing_is_of_what_never_opened(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def says_nothing(peer: Peer) -> None:
        await trio.sleep(4)

    scene = Scene(nursery, (says(), says_nothing, says()), refusals={1: refuse(503)}, transport=transport)
    scene.start()
    await trio.sleep(20)
    refused, silent = scene.journal.events("closed")[:2]
    await scene.finish()

    assert "heard_ns" not in refused
    assert (heard(silent), silent["at"]) == (scene.server.dialled[1], scene.server.dialled[1] + 4)


@both
@pytest.mark.parametrize("what", [frame(b"tick"), ping(), frame(b"pong?", 10)], ids=["frames", "pings", "odd pongs"])
async def test_a_peer_that_answers_no_ping_lives_while_anything_comes(
    what: bytes, transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def never_answers(stream: trio.abc.Stream) -> None:
        await accept(stream)
        while True:
            await trio.sleep(20)
            await stream.send_all(what)

    scene = Scene(nursery, (), transport=transport)
    scene.server.below = never_answers
    scene.start()
    await trio.sleep(610)

    assert len(scene.server.dialled) == 1
    assert scene.journal.events("closed") == []
    assert scene.stats.last_heard_mono_ns / 1e9 == 600
    nursery.cancel_scope.cancel(reason="the test is done")


@both
async def test_a_message_that_comes_byte_by_byte_is_life(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def trickles(stream: trio.abc.Stream) -> None:
        await accept(stream)
        for byte in frame(b"slow"):
            await trio.sleep(25)
            await stream.send_all(bytes([byte]))
        await trio.sleep_forever()

    scene = Scene(nursery, (), transport=transport)
    scene.server.below = trickles
    scene.start()
    await trio.sleep(25 * len(frame(b"slow")) + 5)

    assert scene.journal.of("frame") == [b"slow"]
    assert len(scene.server.dialled) == 1
    nursery.cancel_scope.cancel(reason="the test is done")


@both
@pytest.mark.parametrize("jump", [3600, -3600, 365 * 86400, -365 * 86400])
async def test_a_wall_clock_that_jumps_changes_nothing_but_stamps(
    jump: int, transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Waits, silence and pauses between connections go by the monotonic clock."""

    async def talks(peer: Peer) -> None:
        for number in range(200):
            await peer.send(f"{peer.number} {number}")
            await trio.sleep(0.5)
        if peer.number == 1:
            await peer.cut()

    scene = Scene(nursery, (talks,), transport=transport)
    ahead = 0
    scene.feed.clock = Clock(lambda: wall_ns() + ahead * 10**9, scene.feed.clock.mono_ns)
    scene.start()
    await trio.sleep(50)
    ahead = jump
    await trio.sleep(148.75)
    await scene.finish()

    assert len(scene.journal.of("frame")) == 200 + 2 * 98
    closed, last = scene.journal.events("closed")
    assert closed["at"] == 100
    assert heard(closed) == pytest.approx(99.5 + jump)
    assert scene.server.dialled == [0, 101]
    assert last["final"]
    stamps = [records.mono_ns for records in scene.journal.records]
    assert stamps == sorted(stamps)


@both
async def test_a_standstill_of_our_own_process_is_no_silence_of_the_peer(
    transport: Transport, nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """As after SIGSTOP: what came meanwhile is there when it wakes, and is read before anybody judges."""
    go = trio.Event()

    async def talks(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await go.wait()
        await stream.send_all(frame(b"meanwhile"))
        mock_clock.jump(45)
        await trio.sleep_forever()

    scene = Scene(nursery, (), transport=transport)
    scene.server.below = talks
    mock_clock.autojump_threshold = 0
    scene.start()
    await trio.sleep(1)
    go.set()
    await trio.sleep(60)

    assert scene.journal.of("frame") == [b"meanwhile"]
    assert len(scene.server.dialled) == 1
    nursery.cancel_scope.cancel(reason="the test is done")
