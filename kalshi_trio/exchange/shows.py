"""What the simulated exchange plays: a floor of generated markets, or prebuilt frames as fast as they are taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import trio

from kalshi_trio.exchange.desk import Desk
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.server import Client

TICK = 0.02
TICKERS_EVERY = 1.0


class FloorShow:
    """Live markets that answer commands. `speed` None: as fast as the client takes it."""

    def __init__(
        self,
        floor: GeneratedFloor,
        speed: float | None = 1.0,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._floor = floor
        self._speed = speed
        self._wall_us = wall_us
        self._last_us = 0

    async def play(self, client: Client) -> None:
        """Until the client goes."""
        desk = Desk(self._floor)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer, desk, client)
            await self._run(desk, client)

    async def _answer(self, desk: Desk, client: Client) -> None:
        while True:
            await client.send(desk.command(await client.command()))

    async def _run(self, desk: Desk, client: Client) -> None:
        due = 0.0
        virtual = 0.0
        for _ in count():
            await trio.sleep(TICK if self._speed else 0)
            step = TICK * (self._speed or 1.0)
            virtual += step
            now = self._now()
            out = desk.events(self._floor.advance(int(step * 1e6), now), now)
            if virtual >= due:
                due = virtual + TICKERS_EVERY
                out += desk.tickers((m for m in self._floor.markets.values() if m.open), now)
            if out:
                await client.send(out)

    def _now(self) -> int:
        """The exchange's clock: this machine's, and never backwards."""
        self._last_us = max(self._last_us + 1, self._wall_us())
        return self._last_us


class PrebuiltShow:
    """The same bytes to everybody, in large writes: for measuring clients."""

    def __init__(self, first: list[bytes], chunks: list[bytes]) -> None:
        self._first = first
        self._chunks = chunks

    async def play(self, client: Client) -> None:
        """Waits for the first command, sends all of it, then answers nothing until the client goes."""
        await client.command()
        await client.send(self._first)
        for chunk in self._chunks:
            await client.send_raw(chunk)
        while True:
            await client.command()
