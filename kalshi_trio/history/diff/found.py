"""What a comparison finds, as plain structures: the shape that `--json` prints."""

from __future__ import annotations

from msgspec import Struct, field

MOST = 1_000
"""Runs of missing changes, and stretches of different books, that are listed of a market; the others are counted."""


class Tally(Struct):
    """Of one kind of message, over the time that both recorded."""

    both: int = 0
    only_a: int = 0
    only_b: int = 0


class Run(Struct):
    """Consecutive changes that `by` (a or b) lacks and the other has; times of the exchange, RFC 3339.

    `cause`: of the hole in its own rows that tells of it, `not whole` before a first snapshot, empty where it has not
    noticed. `other_whole`: whether the other calls its book whole then, by its manifest.
    """

    by: str
    changes: int
    start: str
    end: str
    cause: str
    other_whole: bool


class Stretch(Struct):
    """Consecutive instants after which the two whole books were not the same."""

    instants: int
    start: str
    end: str


class Books(Struct):
    """Instants of the exchange after which both had a whole book."""

    compared: int = 0
    different: int = 0
    stretches: list[Stretch] = field(default_factory=list)


class MarketFound(Struct):
    """One market that both recorded; `outside_…`: changes of times at which the other did not record at all."""

    deltas: Tally = field(default_factory=Tally)
    trades: Tally = field(default_factory=Tally)
    outside_a: int = 0
    outside_b: int = 0
    runs: list[Run] = field(default_factory=list)
    more_runs: int = 0
    books: Books = field(default_factory=Books)
    valid_percent: dict[str, float] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether nothing differs over the time that both recorded."""
        counts = (self.deltas.only_a, self.deltas.only_b, self.trades.only_a, self.trades.only_b)
        return not any(counts) and not self.books.different


class GapFound(Struct):
    """A hole of one of the sessions; times of receipt, RFC 3339."""

    cause: str
    channel: str | None
    markets: list[str]
    opened: str
    healed: str | None


class SessionFound(Struct):
    """One of the two."""

    session: str
    name: str
    source: str
    verdict: str
    started: str
    ended: str | None
    only_here: list[str] = field(default_factory=list)
    """Markets that the other did not record."""
    gaps: list[GapFound] = field(default_factory=list)
    more_gaps: int = 0


class Difference(Struct):
    """All of it. `start`, `end`: the time, by the exchange, that both recorded."""

    a: SessionFound
    b: SessionFound
    same: bool = False
    start: str | None = None
    end: str | None = None
    markets: dict[str, MarketFound] = field(default_factory=dict)
