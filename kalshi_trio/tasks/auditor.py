"""The auditor: now and then asks REST for the books of some markets; requests and answers become journal records.

It judges nothing. The builder does that, from the journal, so that a replay finds the same.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import trio

from kalshi_trio.errors import RestError
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.orderbooks import MOST, PATH

log = get_logger(__name__)

LEAD_SECONDS = 0.25
"""How long a book is watched before the request is sent: REST may show one that is a little old."""
LOOK_SECONDS = 1.0
"""When to look again if no book is whole yet."""


class Reply(Protocol):
    """What REST answered."""

    @property
    def status(self) -> int:
        """HTTP's."""

    @property
    def body(self) -> bytes:
        """All of it."""

    @property
    def sent_ns(self) -> int:
        """Wall clock when the request was sent."""

    @property
    def answered_ns(self) -> int:
        """Wall clock when the answer was there."""


class Rest(AbstractAsyncContextManager["Rest"], Protocol):
    """What the auditor needs of REST."""

    async def turn(self) -> None:
        """Waits until a request may go out."""

    async def get(self, path: str, params: Sequence[tuple[str, str]]) -> Reply:
        """Sends it; RestError if no answer comes."""


@dataclass(slots=True)
class Auditor:
    """Audits `a_minute` markets, those first that were not asked about for the longest time, else by chance.

    `whole` names the markets whose books can be judged now; `note` makes a journal record of what it is given, `room`
    waits while too many wait for the disk: answers are no small ones.
    """

    rest: Rest
    a_minute: int
    whole: Callable[[], Iterable[str]]
    note: Callable[[dict[str, object]], None]
    room: Callable[[], Awaitable[None]]
    random: Callable[[], float] = random.random
    requests: int = 0
    _asked: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Until it is cancelled. Whatever goes wrong ends the audits, and never the recording."""
        try:
            async with self.rest:
                await self._audit_on()
        except Exception:
            log.exception("There will be no more audits in this session: the recording goes on")

    async def _audit_on(self) -> None:
        size = min(math.ceil(self.a_minute / 60), MOST)
        every, due = 60 * size / self.a_minute, trio.current_time()
        while True:
            await self.room()
            chosen = heapq.nsmallest(size, self.whole(), key=self._turn)
            if not chosen:
                await trio.sleep(LOOK_SECONDS)
                continue
            await self._audit(chosen)
            due = max(due + every, trio.current_time())
            await trio.sleep_until(due)

    def _turn(self, market: str) -> tuple[int, float]:
        return self._asked.get(market, 0), self.random()

    async def _audit(self, markets: list[str]) -> None:
        await self.rest.turn()
        self.requests += 1
        self._asked.update(dict.fromkeys(markets, self.requests))
        said: dict[str, object] = {"request": self.requests, "path": PATH, "markets": markets}
        self.note({"event": "asked"} | said)
        await trio.sleep(LEAD_SECONDS)
        try:
            reply = await self.rest.get(PATH, [("tickers", market) for market in markets])
        except RestError as error:
            log.warning("Audit without an answer: %s", error)
            self.note({"event": "answered", "status": None, "error": str(error)[:300]} | said)
            return
        if reply.status != 200:
            log.warning("Audit refused with HTTP status %d: %s", reply.status, reply.body[:200])
        times = {"sent": reply.sent_ns, "answered": reply.answered_ns}
        body = reply.body.decode(errors="replace")
        self.note({"event": "answered", "status": reply.status, "body": body} | times | said)
