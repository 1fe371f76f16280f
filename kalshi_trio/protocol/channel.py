"""One channel of one connection: what has to be asked for yet, and what the exchange made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kalshi_trio.protocol.commands import add_markets, subscribe

RETRY_SECONDS = 1.0
LONGEST_RETRY = 60.0
HEALTHY_SECONDS = 60.0


@dataclass(slots=True)
class Channel:
    """There is one subscription a channel and connection: more markets are added to it. Times are in seconds.

    `markets` None: a channel without filter. `sid` 0: not subscribed.
    """

    name: str
    markets: tuple[str, ...] | None
    chunk: int
    sid: int = 0
    todo: tuple[str, ...] = ()
    open: bool = False
    refused: bool = False
    retry_at: float = 0.0
    failures: int = 0
    since: float = 0.0

    def begin(self) -> None:
        """A new connection: nothing is subscribed, nothing was refused."""
        self.refused, self.retry_at, self.failures = False, 0.0, 0
        self._reset()

    def _reset(self) -> None:
        self.sid, self.open, self.todo = 0, False, self.markets or ()

    def ready_at(self) -> float:
        """From when on something can be asked, infinity for never."""
        wants = not self.refused and (self.todo or (self.markets is None and not self.open))
        return self.retry_at if wants else float("inf")

    def ask(self, command_id: int) -> tuple[str, tuple[str, ...]]:
        """The next command, and the markets in it, which are no longer to do."""
        part, self.todo = self.todo[: self.chunk], self.todo[self.chunk :]
        if self.sid:
            return add_markets(command_id, self.sid, part), part
        return subscribe(command_id, self.name, None if self.markets is None else part), part

    def granted(self, sid: int, now: float) -> None:
        """The exchange said yes."""
        if not self.open:
            self.open, self.since = True, now
        self.sid = sid or self.sid

    def put_back(self, markets: Sequence[str]) -> None:
        """These are to be asked for again, first of all."""
        self.todo = tuple(dict.fromkeys((*markets, *self.todo)))

    def split(self, markets: Sequence[str]) -> None:
        """These were too many, or one of them is bad: ask for half as many at a time."""
        self.chunk = max(1, len(markets) // 2)
        self.put_back(markets)

    def wait(self, now: float) -> int:
        """Asks for nothing for a while, longer each time; returns how often that was since all was well for a minute."""
        if self.open and now - self.since >= HEALTHY_SECONDS:
            self.failures = 0
        self.retry_at = now + min(RETRY_SECONDS * 2**self.failures, LONGEST_RETRY)
        self.failures += 1
        return self.failures

    def died(self, now: float) -> int:
        """The subscription is no more: everything is to be asked for again, not too often; returns what `wait` does."""
        times = self.wait(now)
        self._reset()
        return times
