"""The simulated exchange's REST: true books over real HTTP, refusals as the real ones, and lies on request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import httpx
import pytest
import trio
from fed import delta, snapshot
from memory_exchange import MemoryExchange, floor_show, gate, say, signer, virtual_ms
from trio.testing import MockClock, memory_stream_pair

from kalshi_trio.errors import InUse
from kalshi_trio.exchange.http import IDLE_SECONDS, Request, Response, refused, serve_http, serve_http_tcp
from kalshi_trio.exchange.lies import Lies
from kalshi_trio.exchange.market import Book
from kalshi_trio.exchange.player import Player
from kalshi_trio.exchange.prebuilt import PrebuiltShow, prebuild
from kalshi_trio.exchange.recording import Recording
from kalshi_trio.exchange.rest import BOOKS, ROOT, RestDesk
from kalshi_trio.exchange.server import Exchange
from kalshi_trio.foreign import Line
from kalshi_trio.protocol.orderbooks import books_in
from kalshi_trio.protocol.watch import flat

A, B = "KXTEST-26NOV24-A.5", "KXTEST-26NOV24-B"


def target(*tickers: str) -> str:
    return f"{BOOKS}?{httpx.QueryParams([('tickers', ticker) for ticker in tickers])}"


async def ask(desk: RestDesk, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
    response = await desk.answer(Request(method, path, headers))
    return response.status, json.loads(response.body)


@pytest.fixture
def desk() -> RestDesk:
    return RestDesk(floor_show(A, B), gate(), wall_ms=virtual_ms)


async def test_true_books_of_the_markets_asked_for_in_their_order(desk: RestDesk, autojump_clock: MockClock) -> None:
    response = await desk.answer(Request("GET", target(B, A), {}))

    found = books_in(response.body.decode())
    assert list(found) == [B, A]
    for ticker in (A, B):
        book = desk.show.book(ticker)  # type: ignore[attr-defined]
        assert found[ticker].levels() == flat(book.sides["yes"], book.sides["no"])
        assert len(found[ticker].levels()) > 10


async def test_a_market_that_nobody_knows_has_an_empty_book(desk: RestDesk, autojump_clock: MockClock) -> None:
    status, body = await ask(desk, target(f"{A},{B}"))

    assert (status, body) == (
        200,
        {"orderbooks": [{"ticker": f"{A},{B}", "orderbook_fp": {"yes_dollars": [], "no_dollars": []}}]},
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", BOOKS, 400),
        ("GET", target(*(f"T{number}" for number in range(101))), 400),
        ("GET", f"{ROOT}/markets", 404),
        ("GET", "/", 404),
        ("POST", target(A), 405),
    ],
)
async def test_what_it_does_not_do_it_refuses(
    method: str, path: str, status: int, desk: RestDesk, autojump_clock: MockClock
) -> None:
    assert (await ask(desk, path, method))[0] == status


async def test_a_good_signature_comes_in_and_a_bad_one_does_not(desk: RestDesk, autojump_clock: MockClock) -> None:
    good = dict(signer().headers("GET", BOOKS, virtual_ms()))
    stale = dict(signer().headers("GET", BOOKS, virtual_ms() - 60_000))
    other = dict(signer().headers("GET", f"{ROOT}/markets", virtual_ms()))

    answered = [(await ask(desk, target(A), **headers))[0] for headers in (good, stale, other, {})]
    assert answered == [200, 401, 401, 200]


async def test_frames_made_beforehand_have_no_books(autojump_clock: MockClock) -> None:
    desk = RestDesk(PrebuiltShow(prebuild([A], 10, seed=1, start_us=1)))

    assert (await ask(desk, target(A)))[0] == 501


async def test_a_played_recording_shows_what_was_sent_so_far(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    frames = [snapshot(1, A, yes=[["0.5000", "10.00"]]), delta(2, "0.5000", "1.00", market=A)]
    lines = [Line(1, number * 1_000_000_000, frame) for number, frame in enumerate(frames, 1)]
    player = Player(Recording(lines), speed=1)
    exchange, desk = MemoryExchange(nursery, Exchange(player)), RestDesk(player)
    websocket = await exchange.connect()
    await say(websocket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=[A])
    sizes = []
    for _ in range(3):
        await trio.sleep(0.8)
        _, body = await ask(desk, target(A))
        sizes.append(body["orderbooks"][0]["orderbook_fp"]["yes_dollars"])

    assert sizes == [[["0.5000", "10.00"]], [["0.5000", "11.00"]], [["0.5000", "11.00"]]]
    nursery.cancel_scope.cancel(reason="tested")


async def test_chosen_answers_come_first(desk: RestDesk, autojump_clock: MockClock) -> None:
    desk.failures = [refused(429, "too_many_requests")]

    assert await ask(desk, target(A)) == (429, {"error": {"code": "too_many_requests"}})
    assert (await ask(desk, target(A)))[0] == 200


def some_book() -> Book:
    book = Book()
    book.sides["yes"].update({5000: 1000, 4000: 200})
    book.sides["no"].update({3000: 300})
    return book


def test_a_lie_is_one_level_with_a_contract_too_many() -> None:
    lies, book = Lies(1), some_book()
    false = lies.shown(A, book)

    (lie,) = lies.told
    assert false.sides[lie.side][lie.price_e4] == book.sides[lie.side][lie.price_e4] + 100
    assert book.sides == some_book().sides
    false.apply(lie.side, lie.price_e4, -100)
    assert false.sides == book.sides


def test_an_empty_book_can_be_lied_about_too() -> None:
    assert flat(*Lies(1).shown(A, Book()).sides.values()) in ({200: 100}, {201: 100})


@pytest.mark.parametrize(
    ("lies", "wrong"), [(Lies(3), [0, 3, 6, 9]), (Lies(3, first=2), [2, 5, 8]), (Lies(1, first=4, most=2), [4, 5])]
)
def test_lies_are_told_when_their_turn_comes(lies: Lies, wrong: list[int]) -> None:
    book = some_book()

    assert [number for number in range(10) if lies.shown(A, book) is not book] == wrong


async def echo(request: Request) -> Response:
    await trio.lowlevel.checkpoint()
    return Response(200, json.dumps([request.method, request.target, request.headers.get("X-A", "")]).encode())


@asynccontextmanager
async def served() -> AsyncIterator[trio.abc.Stream]:
    """A client's end of a stream that is served from memory."""
    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, far, echo)
        yield near
        await near.aclose()


async def read(stream: trio.abc.Stream, client: h11.Connection) -> bytes:
    body = b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(bytes(await stream.receive_some(10)))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return body


async def test_one_stream_takes_request_after_request_in_any_pieces() -> None:
    client = h11.Connection(h11.CLIENT)
    async with served() as stream:
        for number in range(3):
            headers = [(b"Host", b"x"), (b"X-A", "é".encode())]
            request = h11.Request(method="GET", target=f"/{number}", headers=headers)
            for byte in (client.send(request) or b"") + (client.send(h11.EndOfMessage()) or b""):
                await stream.send_all(bytes([byte]))
            assert json.loads(await read(stream, client)) == ["GET", f"/{number}", "é"]
            client.start_next_cycle()


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"G" * 100_000, b"GET / HTTP/1.1\r\n\r\n", b""]
)
async def test_a_client_that_misbehaves_is_left(rubbish: bytes) -> None:
    async with served() as stream:
        await stream.send_all(rubbish)
        if not rubbish:
            await stream.aclose()
            return
        assert await stream.receive_some() == b""


async def test_an_idle_client_is_left(autojump_clock: MockClock) -> None:
    async with served() as stream:
        assert await stream.receive_some() == b""

    assert trio.current_time() == pytest.approx(IDLE_SECONDS)


async def test_httpx_and_it_speak_over_loopback() -> None:
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_http_tcp, echo, "127.0.0.1", 0)
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = [(await client.get(f"{url}/a?b=c%20d")).json() for _ in range(2)]
            assert (await client.head(url)).headers["Content-Length"] == str(len('["HEAD", "/", ""]'))
        port = int(url.rpartition(":")[2])
        with pytest.raises(InUse, match=str(port)):
            await serve_http_tcp(echo, "127.0.0.1", port)
        nursery.cancel_scope.cancel(reason="tested")

    assert answers == [["GET", "/a?b=c%20d", ""]] * 2
