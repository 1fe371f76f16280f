"""The feed in virtual time, over in-memory streams with a real websocket on top."""

from __future__ import annotations

from typing import get_args

import pytest
import trio
from feed_help import Scene, says, says_and_hangs_up
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import WebSocketRequest
from wire_help import Peer, accept, frame

from kalshi_trio.protocol.links import Command, Down, HangUp, Up
from kalshi_trio.transport.seam import Transport

both = pytest.mark.parametrize("transport", get_args(Transport))


@both
async def test_what_arrives_is_journalled_in_order_between_opening_and_end(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, (says("a", "b", "c"),), transport=transport)
    scene.start()
    await trio.sleep(1)
    await scene.finish()

    assert scene.journal.of("frame") == [b"a", b"b", b"c"]
    assert [event["event"] for event in scene.journal.events()] == ["opening", "open", "closed"]
    assert [records.kind for records in scene.journal.records[:2]] == ["connection"] * 2
    assert scene.journal.events("closed")[0]["final"]
    assert scene.journal.events("open")[0]["date"] == "Tue, 24 Nov 2026 05:01:02 GMT"
    assert (scene.stats.received, scene.stats.received_bytes) == (3, 3)


async def test_a_read_has_one_stamp_of_each_clock(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene(nursery, (says("a", "b", "c"),))
    scene.start()
    await trio.sleep(1)
    await scene.finish()

    assert [len(records.data) for records in scene.journal.records if records.kind == "frame"] == [3]


@both
async def test_a_stop_journals_all_that_came_before_and_says_goodbye(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    codes: list[int] = []

    async def talks(peer: Peer) -> None:
        for number in range(50):
            await peer.send(f"{number}")
        await peer.until_closed()
        reason = peer.websocket.closed
        codes.append(reason.code if reason else 0)

    scene = Scene(nursery, (talks,), transport=transport)
    scene.start()
    await trio.sleep(1)
    await scene.finish()

    assert len(scene.journal.of("frame")) == 50
    assert codes == [1000]
    assert scene.stats.state == "stopped"
    assert [Up(1), Down(1)] == [link async for link in scene.links]


async def test_a_stop_while_connecting_ends_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def never_answers(_: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    scene = Scene(nursery, ())
    scene.server.below = never_answers
    scene.start()
    await trio.sleep(1)
    since = trio.current_time()
    await scene.finish()

    assert trio.current_time() == since
    assert [event["event"] for event in scene.journal.events()] == ["opening", "closed"]
    assert scene.journal.events("closed")[0]["final"]
    nursery.cancel_scope.cancel(reason="the test is done")


async def test_a_stop_while_waiting_ends_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene(nursery, (says_and_hangs_up,))
    scene.start()
    await trio.sleep(40)
    assert scene.stats.state == "waiting"
    since = trio.current_time()
    await scene.finish()

    assert trio.current_time() == since


async def test_a_server_that_ignores_the_goodbye_is_cut(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def ignores(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await trio.sleep_forever()

    scene = Scene(nursery, ())
    scene.server.below = ignores
    scene.start()
    await trio.sleep(1)
    await scene.finish()

    assert trio.current_time() == pytest.approx(3)
    nursery.cancel_scope.cancel(reason="the test is done")


@both
async def test_exactly_the_wanted_number_of_frames_is_journalled(
    transport: Transport, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, (says(*"abcdefgh"),), transport=transport, frames=5)
    scene.start()
    with trio.fail_after(10):
        await scene.done.wait()

    assert scene.journal.of("frame") == [b"a", b"b", b"c", b"d", b"e"]
    assert scene.reasons == ["5 frames received"]


async def test_a_command_is_journalled_before_it_is_sent(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    heard: list[tuple[str | bytes, list[bytes]]] = []

    async def listens(peer: Peer) -> None:
        heard.append((await peer.websocket.get_message(), scene.journal.of("command")))
        await peer.until_closed()

    scene = Scene(nursery, (listens,))
    scene.start()
    assert Up(1) == await scene.links.receive()
    await scene.orders.send(Command(1, 1_000_001, '{"id":1000001}'))
    await trio.sleep(1)
    await scene.finish()

    assert heard == [('{"id":1000001}', [b'{"id":1000001}'])]


async def test_what_was_read_before_a_command_is_journalled_before_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def talks(peer: Peer) -> None:
        for number in range(40):
            await trio.sleep(0.1)
            await peer.send(f"{number}")
        await peer.until_closed()

    scene = Scene(nursery, (talks,))
    scene.start()
    await trio.sleep(1)
    scene.journal.full = True
    await trio.sleep(2)
    await scene.orders.send(Command(1, 1_000_001, "asked while the disk is full"))
    await trio.sleep(1)
    scene.journal.full = False
    await trio.sleep(2)
    await scene.finish()

    kinds = [records.kind for records in scene.journal.records]
    stamps = [(records.mono_ns, records.ts_recv) for records in scene.journal.records]
    assert kinds.count("frame") == 40
    assert 25 <= kinds[: kinds.index("command")].count("frame") <= 31
    assert stamps == sorted(stamps)


async def test_orders_for_a_connection_that_is_gone_are_void(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    scene = Scene(nursery, (says_and_hangs_up, Peer.until_closed))
    scene.start()
    await trio.sleep(5)
    await scene.orders.send(Command(1, 1_000_001, "late"))
    await scene.orders.send(HangUp(1, "late"))
    await trio.sleep(5)
    await scene.finish()

    assert scene.journal.of("command") == []
    assert len(scene.server.dialled) == 2


@pytest.mark.parametrize("seconds", [0, 0.5, 1, 1.5, 2.5, 4])
async def test_frames_that_were_read_are_journalled_even_when_the_feed_is_cancelled(
    seconds: float, autojump_clock: MockClock
) -> None:
    sent: list[bytes] = []

    async def talks(peer: Peer) -> None:
        for number in range(40):
            sent.append(b"%d" % number)
            await peer.send(f"{number}")
            await wait_all_tasks_blocked()
            if number == 20:
                scene.journal.full = True
            await trio.sleep(0.1)

    with trio.move_on_after(seconds):  # noqa: ASYNC100  the nursery waits
        async with trio.open_nursery() as nursery:
            scene = Scene(nursery, (talks,))
            scene.start()

    assert sent == scene.journal.of("frame")


@pytest.mark.parametrize("odd", [b"\xff\xfe", b"\x00" * 10, b"x" * (2 << 20), b""], ids=["utf", "nul", "huge", "empty"])
async def test_an_odd_frame_is_journalled_as_it_came(
    odd: bytes, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def sends(peer: Peer) -> None:
        await peer.raw(frame(b"before") + frame(odd) + frame(odd, 2) + frame(b"after"))
        await peer.until_closed()

    scene = Scene(nursery, (sends,))
    scene.start()
    await trio.sleep(1)
    await scene.finish()

    assert [b"before", odd, odd, b"after"] == scene.journal.of("frame")


async def test_nothing_secret_is_journalled_or_logged(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def repeats(request: WebSocketRequest) -> None:
        await request.reject(503)

    scene = Scene(nursery, (), refusals={1: repeats, 2: repeats})
    scene.feed.url = "wss://user:password@exchange.test/trade-api/ws/v2?token=secret"
    scene.start()
    await trio.sleep(1.5)
    scene.stop("enough")
    await scene.done.wait()

    said = str(scene.journal.records) + caplog.text + scene.stats.url + scene.stats.last_error
    assert "exchange.test" in said
    for secret in ("password", "secret", "signature"):
        assert secret not in said
