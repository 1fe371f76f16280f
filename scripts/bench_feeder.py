"""The other ends of the benchmark, each a process of its own: an exchange with prebuilt frames, and a client that counts.

python scripts/bench_feeder.py feed FRAMES MARKETS     serves the same frames to every client, says what happens in JSON lines
python scripts/bench_feeder.py count URL FRAMES        bare trio-websocket: takes so many messages and goes
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial

import trio
import trio_websocket

from kalshi_trio.exchange.client import Client
from kalshi_trio.exchange.desk import CHANNELS, Desk
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.server import Exchange, serve_tcp
from kalshi_trio.exchange.wire import encode

SEED = 5
RATE = 20_000.0
"""Frames a second of the exchange's own time: so that its stamps do not run hours ahead."""
TICK_US = 20_000
CHUNK = 500


def tickers(number: int) -> tuple[str, ...]:
    """Names as long as real ones."""
    return tuple(f"KXBENCHMARK-26NOV24-T{99_000 + 250 * i}.99" for i in range(number))


def floor(markets: tuple[str, ...]) -> GeneratedFloor:
    """The same markets each time."""
    return GeneratedFloor(markets, SEED, rate=RATE)


def subscribe(markets: tuple[str, ...], channels: tuple[str, ...] = CHANNELS, number: int = 1) -> str:
    """The command that asks for all of it."""
    params = {"channels": channels, "market_tickers": markets, "use_yes_price": False}
    return json.dumps({"id": number, "cmd": "subscribe", "params": params})


def prebuild(markets: tuple[str, ...], number: int) -> tuple[list[bytes], int]:
    """At least `number` frames as bytes on the wire, in chunks, and how many bytes they are before that."""
    live, now_us, out, total = floor(markets), time.time_ns() // 1000, [], 0
    desk = Desk(live)
    desk.command(subscribe(markets))
    while total < number:
        now_us += TICK_US
        frames = desk.events(live.advance(TICK_US, now_us))
        total += len(frames)
        out += [encode(frames[start : start + CHUNK]) for start in range(0, len(frames), CHUNK)]
    return out, sum(map(len, out)) // max(total, 1)


class Feeding:
    """A show: answers the subscriptions, then sends the prebuilt frames as fast as they are taken."""

    def __init__(self, markets: tuple[str, ...], chunks: list[bytes]) -> None:
        self._markets, self._chunks = markets, chunks

    async def play(self, client: Client) -> None:
        """One client, until it goes."""
        desk, missing = Desk(floor(self._markets)), len(CHANNELS)
        while missing:
            replies = desk.command(await client.command())
            missing -= sum(b'"subscribed"' in reply for reply in replies)
            await client.send(replies)
        say(event="first")
        try:
            for chunk in self._chunks:
                await client.send_raw(chunk)
            say(event="all sent")
            while True:
                await client.command()
        finally:
            say(event="gone")


def say(**what: object) -> None:
    """A line for the benchmark."""
    print(json.dumps({"at": time.monotonic(), **what}), flush=True)


async def feed(number: int, markets: int) -> None:
    """Serves until killed."""
    chunks, size = prebuild(tickers(markets), number)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve_tcp, Exchange(Feeding(tickers(markets), chunks)), "127.0.0.1", 0))
        say(event="ready", url=url, frame_bytes=size)


async def count(url: str, number: int, markets: int) -> None:
    """The least that a client can do: take messages, one after the other."""
    async with trio_websocket.open_websocket_url(url) as websocket:
        await websocket.send_message(subscribe(tickers(markets)))
        for _ in range(number):
            await websocket.get_message()


if __name__ == "__main__":
    if sys.argv[1] == "feed":
        trio.run(feed, int(sys.argv[2]), int(sys.argv[3]))
    else:
        trio.run(count, sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
