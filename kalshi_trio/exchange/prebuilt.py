"""Frames made beforehand, sent in large writes as fast as a client takes them: for measuring clients.

Measured on two noisy cores: a raw socket that counts them is offered more than a million frames a second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import trio

from kalshi_trio.exchange.canned import CannedDesk
from kalshi_trio.exchange.client import Client
from kalshi_trio.exchange.desk import CHANNELS, Desk
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.wire import encode

CHUNK_BYTES = 1 << 18
RATE = 20_000.0
"""Frames a second of the exchange's own time: so that its stamps do not run hours ahead."""
STEP_US = 20_000
SIDS = {channel: sid for sid, channel in enumerate(CHANNELS, 1)}


class Prebuilt(NamedTuple):
    """Bytes as they go over the wire, and how many frames that is."""

    chunks: list[bytes]
    frames: int


def prebuild(markets: Sequence[str], frames: int, *, seed: int, start_us: int) -> Prebuilt:
    """Exactly `frames` frames of generated markets, snapshots first, stamped from `start_us` on; about 250 B each."""
    floor = GeneratedFloor(markets, seed, rate=RATE)
    now_us = start_us
    desk = Desk(floor, wall_us=lambda: now_us)
    params = {"channels": CHANNELS, "market_tickers": list(markets)}
    waiting = desk.command(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
    waiting = [frame for frame in waiting if b'"subscribed"' not in frame]
    chunks, made = list[bytes](), 0
    while made < frames:
        now_us += STEP_US
        waiting += desk.events(floor.advance(STEP_US, now_us))
        if sum(map(len, waiting)) >= CHUNK_BYTES or made + len(waiting) >= frames:
            waiting = waiting[: frames - made]
            chunks.append(encode(waiting))
            made, waiting = made + len(waiting), []
    return Prebuilt(chunks, made)


class PrebuiltShow:
    """The same bytes to everybody, once they have subscribed; then silence until they go. `sent` is set after the last."""

    def __init__(self, prebuilt: Prebuilt) -> None:
        self._prebuilt = prebuilt
        self.sent = trio.Event()

    async def play(self, client: Client) -> None:
        """Starts at the first command, and goes on answering commands meanwhile."""
        desk = CannedDesk(SIDS)
        await client.send(desk.command(await client.command()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, desk, client)
            for chunk in self._prebuilt.chunks:
                await client.send_raw(chunk)
            self.sent.set()

    async def _listen(self, desk: CannedDesk, client: Client) -> None:
        while True:
            await client.send(desk.command(await client.command()))
