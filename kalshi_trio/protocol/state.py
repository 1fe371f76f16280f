"""All that later rows depend on, as plain structures: what a checkpoint holds."""

from __future__ import annotations

from msgspec import Struct, field

from kalshi_trio.protocol.book import Book
from kalshi_trio.protocol.census import Census
from kalshi_trio.protocol.numbers import NULL


class Market(Struct):
    """One market's book and what was said of it.

    `valid`: whole and in sequence. `anchored`: had a snapshot on the connection that is still open. `touched` and the
    `last_` fields belong to the instant that is not over; `said` is the last top of book that made a row.
    """

    ticker: str
    book: Book = field(default_factory=Book)
    connection: int = 0
    sid: int = 0
    anchored: bool = False
    valid: bool = False
    touched: bool = False
    last_frame: int = 0
    last_ts_recv: int = 0
    last_us: int = NULL
    said: tuple[int, int, int, int] | None = None
    valid_since: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)
    snapshots: int = 0
    deltas: int = 0
    unanchored: int = 0
    lost: int = 0


class Subscription(Struct):
    """One sid of one connection. `seq` is the last one seen; `pending` are the markets touched since `instant_us`."""

    connection: int
    sid: int
    channel: str = ""
    seq: int = 0
    instant_us: int = NULL
    pending: list[str] = field(default_factory=list)


class Gap(Struct):
    """A hole that is not healed yet for `markets`."""

    frame: int
    cause: str
    opened_at: int
    markets: list[str]
    connection: int = 0
    channel: str | None = None
    expected: int = NULL
    got: int = NULL


class Tally(Struct):
    """Data frames by what became of them; `others` counts the readable frames that are neither delta nor snapshot."""

    received: int = 0
    control: int = 0
    unknown: int = 0
    refused: int = 0
    snapshots: int = 0
    deltas: int = 0
    others: dict[str, int] = field(default_factory=dict)

    @property
    def decoded(self) -> int:
        """Frames of which rows were made."""
        return self.received - self.control - self.unknown - self.refused

    @property
    def by_type(self) -> dict[str, int]:
        """Every frame that could be read, by its type."""
        books = {"orderbook_delta": self.deltas, "orderbook_snapshot": self.snapshots}
        return {name: n for name, n in sorted((books | self.others).items()) if n}


class State(Struct):
    """The builder between two records."""

    session: str
    frame: int = 0
    source: str = "live"
    software: str = ""
    settings: str = "{}"
    wanted: list[str] = field(default_factory=list)
    started_ns: int = 0
    last_ns: int = 0
    ended: bool = False
    subscriptions: dict[int, dict[int, Subscription]] = field(default_factory=dict)
    was_open: list[int] = field(default_factory=list)
    markets: dict[str, Market] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    gaps_opened: int = 0
    gaps_healed: int = 0
    tally: Tally = field(default_factory=Tally)
    census: Census = field(default_factory=Census)
