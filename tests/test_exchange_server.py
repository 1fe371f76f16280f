"""The simulated exchange as a server, in virtual time: who may come in, pings, deeds, and that no client can hurt it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from memory_exchange import (
    KEY_ID,
    START_US,
    URL,
    MemoryExchange,
    floor_show,
    gate,
    hear,
    kinds,
    say,
    sign,
    signer,
    virtual_ms,
    virtual_us,
)
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from kalshi_trio.exchange.faults import Faults, Name
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.gate import TOO_MANY
from kalshi_trio.exchange.server import PATH, PING_EVERY, PONG_WITHIN, Exchange
from kalshi_trio.exchange.shows import FloorShow
from kalshi_trio.protocol.auth import KEY, SIGNATURE, STAMP
from kalshi_trio.transport.endpoint import Endpoint
from kalshi_trio.transport.keepalive import SILENT_SECONDS


def opened(nursery: trio.Nursery, **more: Any) -> MemoryExchange:
    """An exchange of two markets behind its gate; time passes there as here."""
    more.setdefault("show", floor_show("A", "B", speed=0))
    return MemoryExchange(nursery, Exchange(gate=gate(), wall_ms=virtual_ms, **more))


def headed(**changes: str) -> Endpoint:
    """Good headers, some of them changed; those that are emptied are left out."""
    headers = dict(signer().headers("GET", PATH, virtual_ms())) | changes
    return Endpoint(URL, tuple((name.encode(), value.encode()) for name, value in headers.items() if value))


async def refused(exchange: MemoryExchange, endpoint: Endpoint) -> tuple[int, str]:
    with pytest.RaisesGroup(ConnectionRejected, flatten_subgroups=True) as group:
        async with trio.open_nursery() as nursery:
            await MemoryExchange(nursery, exchange.exchange).connect(endpoint)
    error: BaseException = group.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConnectionRejected)
    return error.status_code, (error.body or b"").decode()


async def closed(websocket: WebSocketConnection) -> int:
    """With which code the connection ends; what came before is thrown away."""
    while True:
        try:
            await websocket.get_message()
        except ConnectionClosed as error:
            return error.reason.code if error.reason else 0


async def test_a_good_signature_opens_the_door(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    exchange = opened(nursery)
    websocket = await exchange.connect()
    await say(websocket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=["A", "B"])

    assert kinds(await hear(websocket, 3)) == ["subscribed", "orderbook_snapshot", "orderbook_snapshot"]
    assert exchange.exchange.handshakes[0][KEY] == KEY_ID
    assert [heard.connection for heard in exchange.exchange.commands] == [1]
    nursery.cancel_scope.cancel(reason="the test is done")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({SIGNATURE: ""}, "signature_is_missing_from_headers"),
        ({KEY: "somebody"}, "NOT_FOUND"),
        ({STAMP: str(START_US // 1000 - 60_000)}, "header_timestamp_expired"),
        ({STAMP: "soon"}, "header_timestamp_expired"),
        ({STAMP: str(START_US // 1000 + 1)}, "INCORRECT_API_KEY_SIGNATURE"),
        ({SIGNATURE: "bm8="}, "INCORRECT_API_KEY_SIGNATURE"),
    ],
)
async def test_bad_headers_are_refused_with_the_exchanges_words(
    changes: dict[str, str], said: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    status, body = await refused(opened(nursery), headed(**changes))

    assert status == 401
    assert said in body


async def test_refusals_can_be_ordered_and_another_path_is_not_found(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = opened(nursery, refusals=[TOO_MANY])

    assert (await refused(exchange, sign(virtual_ms())))[0] == 429
    assert exchange.exchange.connections == 0


async def test_it_pings_and_hangs_up_on_a_client_that_answers_none(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = opened(nursery)
    stream = await exchange.dial()
    await stream.send_all(_handshake())
    await stream.receive_some()
    ping = bytes(await stream.receive_some())
    asked = trio.current_time()
    while await stream.receive_some():
        pass

    assert ping == b"\x89\x09heartbeat"
    assert asked == pytest.approx(PING_EVERY)
    assert trio.current_time() == pytest.approx(PING_EVERY + PONG_WITHIN)


def _handshake() -> bytes:
    headers = {"Host": "exchange.test", "Upgrade": "websocket", "Connection": "Upgrade"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    headers |= signer().headers("GET", PATH, virtual_ms())
    return f"GET {PATH} HTTP/1.1\r\n".encode() + "".join(f"{n}: {v}\r\n" for n, v in headers.items()).encode() + b"\r\n"


async def faulty(nursery: trio.Nursery, name: Name) -> WebSocketConnection:
    """Subscribed to both books; the second snapshot has the fault."""
    websocket = await opened(nursery, faults=Faults({2: name}, seconds=5.0)).connect()
    await say(websocket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=["A", "B"])
    assert kinds(await hear(websocket, 2)) == ["subscribed", "orderbook_snapshot"]
    return websocket


@pytest.mark.parametrize(("name", "code"), [("close_1001", 1001), ("cut", 1006)])
async def test_a_connection_is_ended_with_a_word_or_without(
    name: Name, code: int, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    websocket = await faulty(nursery, name)

    assert await closed(websocket) == code


async def test_a_deaf_exchange_stays_connected_for_longer_than_a_client_waits_and_nothing_more_comes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    websocket = await faulty(nursery, "deaf")

    with trio.move_on_after(SILENT_SECONDS - 1) as pinging:
        await websocket.ping()
    with trio.move_on_after(1) as reading:
        await websocket.get_message()
    assert (pinging.cancelled_caught, reading.cancelled_caught) == (True, True)
    nursery.cancel_scope.cancel(reason="the test is done")


async def test_a_delay_holds_everything_back(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    websocket = await faulty(nursery, "delay")
    await say(websocket, 2, "list_subscriptions")
    heard = await hear(websocket, 2)

    assert kinds(heard) == ["orderbook_snapshot", "ok"]
    assert trio.current_time() == pytest.approx(5.0)
    nursery.cancel_scope.cancel(reason="the test is done")


@pytest.mark.parametrize(
    "rubbish",
    [b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01 TLS", b""],
    ids=["zeros", "bare", "TLS", "none"],
)
async def test_no_client_makes_it_raise(rubbish: bytes, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    exchange = opened(nursery)
    stream = await exchange.dial()
    if rubbish:
        await stream.send_all(rubbish)
    await stream.aclose()
    await trio.sleep(60)

    websocket = await exchange.connect()
    await websocket.send_message("\ufffd not JSON")
    (answer,) = await hear(websocket, 1)
    assert answer["msg"]["code"] == 1
    nursery.cancel_scope.cancel(reason="the test is done")


async def test_numbers_start_again_on_each_connection(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    exchange = opened(nursery)
    for number in (1, 2):
        websocket = await exchange.connect()
        await say(websocket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=["A"])
        ack, snapshot = await hear(websocket, 2)
        assert (ack["msg"]["sid"], snapshot["seq"], exchange.exchange.connections) == (1, 1, number)
        await websocket.aclose()
    nursery.cancel_scope.cancel(reason="the test is done")


async def test_two_commands_at_once_may_be_answered_in_the_other_order(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    websocket = await opened(nursery, show=floor_show("A", speed=0, reorder=True)).connect()
    for number, channel in ((1, "ticker"), (2, "trade")):
        await say(websocket, number, "subscribe", channels=[channel], market_tickers=["A"])

    assert [message["id"] for message in await hear(websocket, 2)] == [2, 1]
    nursery.cancel_scope.cancel(reason="the test is done")


async def test_a_client_that_reads_too_slowly_loses_its_subscriptions(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    show = FloorShow(GeneratedFloor(("A", "B"), 1, rate=50_000), 1.0, virtual_us, outbox_bytes=100_000)
    websocket = await opened(nursery, show=show).connect()
    await say(websocket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=["A", "B"])
    last: dict[str, Any] = {}
    with trio.fail_after(60):
        while last.get("type") != "error":
            last = json.loads(await websocket.get_message())

    assert (last["sid"], last["msg"]["code"]) == (1, 25)
    nursery.cancel_scope.cancel(reason="the test is done")
