"""`replay --serve`: Kalshi clients that were written elsewhere connect to the past and end with the right books."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from memory_exchange import MemoryExchange, hear, say
from past import MARKETS, WHOLE, generated, imported, recorded, settings_in
from recordings import NAMES, judged, lines, needed
from test_replay_kill import ROOT, command
from trio.testing import MockClock

from kalshi_trio.errors import InUse, UsageError
from kalshi_trio.exchange.keys import make_key, private_pem
from kalshi_trio.exchange.past import Past
from kalshi_trio.exchange.rules import Rules
from kalshi_trio.exchange.server import Exchange
from kalshi_trio.history.replay.pacing import Pace
from kalshi_trio.history.replay.replaying import Wish
from kalshi_trio.history.serve.past_show import PastShow
from kalshi_trio.history.serve.serving import Served, address, serve
from kalshi_trio.history.times import Record
from kalshi_trio.journal.reading import read_around
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.thread import Door

Levels = dict[tuple[str, str], dict[int, int]]


def levels_of(past: Past) -> Levels:
    """Every market's book in the builder, empty ones left out."""
    found = {}
    for ticker, market in past._state.markets.items():
        for side, ladder in (("yes", market.book.yes), ("no", market.book.no)):
            if market.valid and ladder.levels:
                found[ticker, side] = dict(ladder.levels)
    return found


class Pykalshi:
    """pykalshi's own feed and its own books, in its own thread."""

    def __init__(self, url: str, markets: list[str], folder: Path) -> None:
        pykalshi = importlib.import_module("pykalshi")
        self._manager = importlib.import_module("pykalshi.orderbook").OrderbookManager
        key = folder / "key.pem"
        key.write_bytes(private_pem(make_key()))
        self.feed = pykalshi.KalshiClient(api_key_id="any", private_key_path=str(key)).feed()
        self.feed._ws_url = url
        self.books: dict[str, Any] = {}
        self.feed.on("orderbook_delta", self._book)
        for market in markets:
            self.feed.subscribe("orderbook_delta", market_ticker=market)

    def _book(self, message: Any) -> None:
        book = self.books.setdefault(message.market_ticker, self._manager(message.market_ticker))
        if hasattr(message, "yes_dollars"):
            book.apply_snapshot(message.yes_dollars, message.no_dollars)
        else:
            book.apply_delta(message.side, message.price_dollars, message.delta_fp)

    def levels(self) -> Levels:
        found = {}
        for ticker, book in self.books.items():
            for side, levels in (("yes", book.yes), ("no", book.no)):
                if levels:
                    found[ticker, side] = _exact(levels.items())
        return found


def _exact(levels: Iterable[tuple[str, str]]) -> dict[int, int]:
    return {int(Decimal(price) * 10_000): int(Decimal(size) * 100) for price, size in levels}


async def served(nursery: trio.Nursery, folder: Path, wish: Wish, what: str = "latest") -> tuple[str, Served]:
    begin = partial(serve, settings_in(folder), Terminal(), what, wish, ("127.0.0.1", 0))
    found: tuple[str, Served] = await nursery.start(begin)
    return found


async def until(true: Callable[[], bool]) -> None:
    """Another program decides when: its thread cannot be waited for otherwise."""
    with trio.fail_after(120):
        while not true():  # noqa: ASYNC110  that thread tells nobody
            await trio.sleep(0.02)


async def pykalshi_through(folder: Path, wish: Wish, markets: list[str]) -> tuple[Pykalshi, Served]:
    """pykalshi, after it has heard everything."""
    async with trio.open_nursery() as nursery:
        url, past = await served(nursery, folder, wish)
        client = Pykalshi(url, markets, folder)
        threading.Thread(target=client.feed.start).start()
        with trio.fail_after(600):
            await past.show.over.wait()
        await until(lambda: client.feed.messages_received == past.exchange.sent)
        client.feed.stop()
        nursery.cancel_scope.cancel(reason="heard")
    return client, past


@needed
@pytest.mark.parametrize("name", NAMES)
async def test_pykalshi_ends_with_the_right_book_of_each_market(name: str, tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, recorded(tmp_path / name.removesuffix(".gz"), name))
    client, past = await pykalshi_through(tmp_path, Wish(), list(manifest.coverage))

    assert client.feed.messages_received > 40
    assert client.levels() == levels_of(past.past)
    assert_oracle(client, name)


def assert_oracle(client: Pykalshi, name: str) -> None:
    """The independent book, which looks at the last connection alone."""
    report = judged(lines(name, None if WHOLE else 4_000))
    checked = 0
    for ticker, market in report["markets"].items():
        final = market["final"]
        if final["anchored"] and final["valid_strict"]:
            book, checked = client.books[ticker], checked + 1
            best = [max(levels, key=Decimal, default=None) for levels in (book.yes, book.no)]
            expected = [final[side] and tuple(map(Decimal, final[side])) for side in ("best_yes_bid", "best_no_bid")]
            found = [
                price and (Decimal(price), Decimal(levels[price]))
                for price, levels in zip(best, (book.yes, book.no), strict=True)
            ]
            assert found == expected
            assert [len(book.yes), len(book.no)] == [final["yes_levels"], final["no_levels"]]
    assert checked or not any(market["final"]["anchored"] for market in report["markets"].values())


async def test_pykalshi_begins_in_the_middle_with_the_books_as_they_stood(tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl"), journal_segment_records=1_000)
    middle = manifest.segments[-1].frames[1] * 3 // 5
    client, past = await pykalshi_through(tmp_path, Wish(start=Record(middle)), [MARKETS[1], MARKETS[2]])

    of_all = levels_of(past.past)
    assert client.levels() == {key: levels for key, levels in of_all.items() if key[0] != MARKETS[0]}
    assert {ticker for ticker, _ in client.levels()} == {MARKETS[1], MARKETS[2]}
    assert past.exchange.tally.of_type("orderbook_snapshot") >= 2


def python_with_kalshi_sdk() -> str:
    """A Python that has kalshi-sdk, which needs 3.12; skips the test where there is none, and says what was looked for."""
    names = [f"python3.{minor}" for minor in range(12, 20)]
    known = [str(ROOT / ".venv-sdk" / "bin" / "python"), *(shutil.which(name) or "" for name in names)]
    for path in filter(os.path.exists, known):
        if not subprocess.run([path, "-c", "import kalshi.ws"], capture_output=True, check=False).returncode:  # noqa: S603  a Python
            return path
    pytest.skip(
        "kalshi-sdk is neither in .venv-sdk nor in a python3.12 or later on PATH (it needs that): pip install it"
    )


@pytest.mark.parametrize("start", [1, 1_500])
async def test_kalshi_sdk_ends_with_the_right_book_of_each_market(start: int, tmp_path: Path) -> None:
    """No market closes in it: kalshi-sdk 22.4 passes over snapshots without a side, which is how the exchange says so."""
    line = [python_with_kalshi_sdk(), str(Path(__file__).with_name("kalshi_sdk_client.py"))]
    await imported(tmp_path, generated(tmp_path / "past.jsonl", closes=False))
    key = tmp_path / "key.pem"
    key.write_bytes(private_pem(make_key()))
    async with trio.open_nursery() as nursery:
        url, past = await served(nursery, tmp_path, Wish(start=Record(start)))
        process = await trio.lowlevel.open_process(
            [*line, url, str(key), *MARKETS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with trio.fail_after(120):
            async with process.stdin, process.stdout:
                await past.show.over.wait()
                tally = past.exchange.tally
                total = tally.of_type("orderbook_snapshot") + tally.of_type("orderbook_delta")
                await process.stdin.send_all(b"%d\n" % total)
                said = json.loads(b"".join([chunk async for chunk in process.stdout]))
            await process.wait()
        nursery.cancel_scope.cancel(reason="heard")

    found = {tuple(name.split(" ")): _exact(levels.items()) for name, levels in said["books"].items() if levels}
    assert said["got"] == total > 500
    assert found == levels_of(past.past)


async def test_the_playhead_waits_for_listeners_and_keeps_the_recorded_pace(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_door: Door, call: Callable[..., Any], *args: object) -> Any:
        await trio.lowlevel.checkpoint()
        return call(*args)

    monkeypatch.setattr(Door, "run", at_once)
    folder, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=30))
    last = manifest.segments[-1].frames[1]
    show = PastShow(Past(Builder("s")), Rules())
    async with trio.open_nursery() as nursery:
        exchange = MemoryExchange(nursery, Exchange(show, ping_every=1e9))
        nursery.start_soon(show.run, read_around(folder, 0, last), Pace(1.0), lambda _: None)
        websocket = await exchange.connect()
        await trio.sleep(100)  # a client that says nothing
        assert show._past.frame == 0
        began = trio.current_time()
        await say(websocket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=MARKETS)
        got = await hear(websocket, 2)
        nursery.start_soon(drain, websocket)
        await show.over.wait()
        took = trio.current_time() - began
        nursery.cancel_scope.cancel(reason="seen")

    assert [one["type"] for one in got] == ["subscribed", "orderbook_snapshot"]
    assert 29 < took < 31


async def drain(websocket: Any) -> None:
    while True:
        await websocket.get_message()


async def test_a_client_that_goes_holds_nobody_up(tmp_path: Path) -> None:
    folder, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=600))
    show = PastShow(Past(Builder("s")), Rules())
    async with trio.open_nursery() as nursery:
        exchange = MemoryExchange(nursery, Exchange(show))
        lazy, keen = await exchange.connect(), await exchange.connect()
        for websocket in (lazy, keen):
            await say(websocket, 1, "subscribe", channels=["orderbook_delta"], market_tickers=MARKETS)
        nursery.start_soon(
            show.run, read_around(folder, 0, manifest.segments[-1].frames[1]), Pace(None), lambda _: None
        )
        nursery.start_soon(drain, keen)
        with trio.fail_after(30):
            await trio.aclose_forcefully(lazy._stream)
            await show.over.wait()
        nursery.cancel_scope.cancel(reason="seen")


async def test_the_address_is_printed_and_a_signal_is_the_ordinary_end(tmp_path: Path) -> None:
    await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=2))
    process = command(tmp_path, "replay", "latest", "--serve", "127.0.0.1:0")
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.rpartition(":")[2].partition("/")[0])
    with command(tmp_path, "replay", "latest", "--serve", f":{port}") as second:
        _, said = second.communicate(timeout=60)
    process.send_signal(signal.SIGINT)
    _, diary = process.communicate(timeout=60)

    assert line == f"export KALSHI_WS_URL=ws://127.0.0.1:{port}/trade-api/ws/v2\n"
    assert "none is checked" in diary
    assert process.returncode == 0
    assert (second.returncode, "choose another port" in said) == (InUse.exit_code, True)


async def test_a_host_that_there_is_not_is_a_usage_error(tmp_path: Path) -> None:
    await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=2))
    with command(tmp_path, "replay", "latest", "--serve", "no.such.host.invalid:0") as process:
        _, said = process.communicate(timeout=60)

    assert process.returncode == UsageError.exit_code
    assert "no.such.host.invalid: " in said.splitlines()[-1]


def test_where_to_serve_is_a_host_and_a_port() -> None:
    assert address("127.0.0.1:8765") == ("127.0.0.1", 8765)
    assert address(":0") == ("127.0.0.1", 0)
    assert address("[::1]:80") == ("::1", 80)
    for text in ("", "8765x", "host:", "host:99999"):
        with pytest.raises(UsageError, match="write HOST:PORT"):
            address(text)
