"""Live markets as a show: one floor for all clients, a desk and an outbox for each."""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from kalshi_trio.exchange.client import Client
from kalshi_trio.exchange.desk import Desk
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.market import Book
from kalshi_trio.exchange.outbox import Outbox
from kalshi_trio.exchange.rules import Rules

TICK = 0.005
OUTBOX_BYTES = 4 << 20
PIPELINED_WITHIN = 0.05
OVERFLOW = 25


class Seat:
    """One client's place on the floor."""

    def __init__(self, desk: Desk, outbox: Outbox, client: Client) -> None:
        self.desk = desk
        self.outbox = outbox
        self.client = client

    def answer(self, text: str) -> None:
        """Does one command; the replies wait with the other frames, in the order of their numbers."""
        for sid in self.client.dead:
            self.desk.forget(sid)
        self.outbox.put(self.desk.command(text))


class FloorShow:
    """Live markets that answer commands; they stand still while nobody listens.

    `speed` None: as fast as the slowest client takes it; 0: nothing happens but answers. At any other speed a client that
    lets more than `outbox_bytes` wait loses its subscriptions (error 25).
    """

    def __init__(
        self,
        floor: GeneratedFloor,
        speed: float | None = 1.0,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        *,
        rules: Rules | None = None,
        outbox_bytes: int = OUTBOX_BYTES,
    ) -> None:
        self._floor = floor
        self._speed = speed
        self._wall_us = wall_us
        self._rules = rules or Rules()
        self._outbox_bytes = outbox_bytes
        self._seats: list[Seat] = []
        self._last_us = 0
        self._at = 0.0

    def book(self, ticker: str) -> Book | None:
        """The market's true book, as REST shows it; None for a market that is not on the floor."""
        market = self._floor.markets.get(ticker)
        return market.book if market is not None else None

    async def play(self, client: Client) -> None:
        """Until the client goes."""
        seat = Seat(Desk(self._floor, self._rules, self._wall_us), Outbox(self._outbox_bytes), client)
        if not self._seats:
            self._at = trio.current_time()  # nobody listened so far, so nothing happened
        self._seats.append(seat)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, seat)
                if self._speed != 0:
                    nursery.start_soon(self._live)
                while True:
                    await client.send(await seat.outbox.take())
        finally:
            self._seats.remove(seat)
            seat.outbox.give_up()

    async def _listen(self, seat: Seat) -> None:
        while True:
            await seat.outbox.room()
            commands = [await seat.client.command()]
            if self._rules.reorder:
                with trio.move_on_after(PIPELINED_WITHIN):
                    commands.insert(0, await seat.client.command())
            for text in commands:
                seat.answer(text)

    async def _live(self) -> None:
        """Each client's task moves the clock of the floor; whoever comes first does it for all."""
        while True:
            if self._speed is None:
                await self._room_for_all()
                self._advance(TICK)
                continue
            await trio.sleep(TICK)
            now = trio.current_time()
            if self._at + TICK / 2 < now:
                elapsed, self._at = now - self._at, now
                self._advance(min(elapsed, 1.0) * self._speed)

    async def _room_for_all(self) -> None:
        await trio.lowlevel.checkpoint()
        for seat in tuple(self._seats):
            await seat.outbox.room()

    def _advance(self, seconds: float) -> None:
        self._last_us = now = max(self._last_us, self._wall_us())
        events = self._floor.advance(int(seconds * 1e6), now)
        for seat in self._seats:
            fits = seat.outbox.put(seat.desk.events(events))
            if not fits and self._speed is not None:
                seat.outbox.put(seat.desk.terminate(OVERFLOW))
