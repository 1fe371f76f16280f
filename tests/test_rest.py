"""The client of Kalshi's REST: signed, paced, bounded, its failures told and waited after."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import trio
from memory_exchange import KEY_ID, key, signer
from trio.testing import MockClock

from kalshi_trio import rest
from kalshi_trio.errors import ConfigError, RestError
from kalshi_trio.protocol.auth import KEY, SIGNATURE, STAMP, verify
from kalshi_trio.rest import Reply, Rest

URL = "https://exchange.test/trade-api/v2"
PATH = "/markets/orderbooks"
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, url: str = URL, **more: object) -> Rest:
    return Rest(url, transport=httpx.MockTransport(handler), random=lambda: 1.0, **more)  # type: ignore[arg-type]


def replies(*statuses: int) -> Handler:
    """Answers with these one after the other, then with the last one."""
    left = list(statuses)
    return lambda _: httpx.Response(left.pop(0) if len(left) > 1 else left[0], content=b"{}")


async def test_an_answer_comes_whole_with_its_times() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b'{"orderbooks":[]}')

    times = iter([5_000_000, 9_000_000])
    async with client(answer, wall_ns=lambda: next(times)) as asked:
        reply = await asked.get(PATH, [("tickers", "KXA-T1.5"), ("tickers", "KXB&c=d")])

    assert reply == Reply(200, b'{"orderbooks":[]}', 5_000_000, 9_000_000)
    assert str(seen[0].url) == f"{URL}{PATH}?tickers=KXA-T1.5&tickers=KXB%26c%3Dd"
    assert seen[0].url.params.get_list("tickers") == ["KXA-T1.5", "KXB&c=d"]
    assert KEY not in seen[0].headers


async def test_the_path_without_host_and_query_is_signed() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    async with client(answer, signer=signer(), wall_ns=lambda: 1_795_543_200_123_999_999) as asked:
        await asked.get(PATH, [("tickers", "A")])

    headers = seen[0].headers
    assert (headers[KEY], headers[STAMP]) == (KEY_ID, "1795543200123")
    assert verify(key().public_key(), headers[SIGNATURE], "GET", f"/trade-api/v2{PATH}", headers[STAMP])


async def test_a_refusal_that_quotes_the_key_is_kept_without_it() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(401, content=f'{{"error":"no key {KEY_ID}"}}')

    async with client(answer, signer=signer()) as asked:
        assert (await asked.get(PATH)).body == '{"error":"no key …"}'.encode()


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": "https://elsewhere.test/"})

    async with client(answer) as asked:
        assert (await asked.get(PATH)).status == 302


async def test_requests_are_paced(autojump_clock: MockClock) -> None:
    async with client(replies(200)) as asked:
        for _ in range(50):
            await asked.turn()
            await asked.get(PATH)

    assert trio.current_time() == pytest.approx(49 * rest.EVERY)


@pytest.mark.parametrize("status", [429, 500, 503, 401, 404])
async def test_waits_grow_after_failures_and_start_small_again_after_success(
    status: int, autojump_clock: MockClock
) -> None:
    waited: list[float] = []
    async with client(replies(*[status] * 7, 200, status, 200)) as asked:
        for _ in range(10):
            since = trio.current_time()
            await asked.turn()
            waited.append(trio.current_time() - since)
            await asked.get(PATH)

    assert waited == pytest.approx([0, 1, 2, 4, 8, 16, 30, 30, rest.EVERY, 1])


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError("Server disconnected"),
        httpx.ReadError(""),
    ],
)
async def test_what_comes_in_the_way_of_an_answer_is_one_error(error: Exception, autojump_clock: MockClock) -> None:
    def fails(_: httpx.Request) -> httpx.Response:
        raise error

    async with client(fails) as asked:
        with pytest.raises(RestError, match=rf"^https://exchange.test/trade-api/v2{PATH}: .+"):
            await asked.get(PATH)
        await asked.turn()

    assert trio.current_time() == pytest.approx(1)


async def test_an_answer_that_takes_too_long_is_given_up(autojump_clock: MockClock) -> None:
    async def drips() -> AsyncIterator[bytes]:
        while True:
            await trio.sleep(1)
            yield b" "

    async with client(lambda _: httpx.Response(200, content=drips())) as asked:
        with pytest.raises(RestError):
            await asked.get(PATH)

    assert trio.current_time() == pytest.approx(rest.SECONDS)


async def test_an_answer_that_is_too_long_is_given_up_before_it_is_held() -> None:
    taken = 0

    async def floods() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            await trio.lowlevel.checkpoint()
            taken += 1 << 20
            yield b" " * (1 << 20)

    async with client(lambda _: httpx.Response(200, content=floods())) as asked:
        with pytest.raises(RestError, match="longer than"):
            await asked.get(PATH)

    assert taken == rest.LIMIT_BYTES + (1 << 20)


async def test_a_cancelled_request_leaves_a_client_that_works(autojump_clock: MockClock) -> None:
    slow = True

    async def answer(_: httpx.Request) -> httpx.Response:
        await trio.sleep(5 if slow else 0)
        return httpx.Response(200)

    async with Rest(URL, transport=httpx.MockTransport(answer)) as asked:
        with trio.move_on_after(1):
            await asked.get(PATH)
        slow = False
        assert (await asked.get(PATH)).status == 200


async def test_what_is_shown_has_no_credentials() -> None:
    async with client(replies(200), "https://me:secret@exchange.test/trade-api/v2/") as asked:
        assert asked.shown == URL


@pytest.mark.parametrize("url", ["", "exchange.test", "wss://exchange.test/x", "https://", "https://x/y?z=1"])
def test_an_address_that_is_none_is_the_users_mistake(url: str) -> None:
    with pytest.raises(ConfigError, match="KALSHI_REST_URL"):
        Rest(url)
