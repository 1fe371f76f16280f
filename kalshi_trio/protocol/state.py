"""All that later rows depend on, as plain structures: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from kalshi_trio.protocol.book import Book
from kalshi_trio.protocol.census import Census
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.watch import Watch


@dataclass(slots=True)
class Market:
    """One market's book and what was said of it.

    `home`: key of the subscription that its book (or its first delta without one) came from. `anchored`: had a snapshot
    on that connection, which is still open. `valid`: whole and in sequence. `touched` (waits in the subscription's
    `pending`) and the `last_` fields belong to the instant that is not over; `said`: the best bids, as in `Book.best`,
    of the last top of book that made a row, None where that row said that there is no valid book. `lost`: how often the
    book was; because of a level that cannot be, `negative` times, because it was crossed at an instant's end, `crossed`.
    `doubted`: that was so from its snapshot on; `turned`: and would not be if the NO side's prices were those of YES.
    `cover` is what its coverage is since `since` (empty: nothing yet), with the gap's `cause`; `spans` came before. `proved`:
    when its book was last known to be right, by a snapshot or by an audit that agreed. `closed`: by a closing snapshot (1),
    by its determination (2).
    """

    ticker: str
    book: Book = field(default_factory=Book)
    home: int = 0
    anchored: bool = False
    valid: bool = False
    touched: bool = False
    last_frame: int = 0
    last_ts_recv: int = 0
    last_us: int = NULL
    said: tuple[int, int, int, int] | None = None
    valid_since: int = 0
    cover: str = ""
    since: int = 0
    cause: str = ""
    spans: list[tuple[int, int, str, str]] = field(default_factory=list)
    proved: int = 0
    closed: int = 0
    snapshots: int = 0
    deltas: int = 0
    unanchored: int = 0
    lost: int = 0
    negative: int = 0
    crossed: int = 0
    doubted: bool = False
    turned: bool = False


NEVER = 2**63 - 1
LOST = -2
"""In the place of a sequence number; the one behind it is no number either."""


@dataclass(slots=True)
class Subscription:
    """One sid of one connection. `pending` are the markets touched since `instant_us`.

    `seq` is the last number seen, LOST where the journal lost it. `loose`: frames since then that take a number and did
    not say which. `back`: the lower number that came last while the run stood at `back_at`. `heard_ns`: when the last
    frame of its run came, or its `subscribed`. `key` tells it from all others of the session.
    """

    connection: int
    sid: int
    channel: str = ""
    seq: int = 0
    instant_us: int = 0
    pending: list[str] = field(default_factory=list)
    heard_ns: int = 0
    key: int = 0
    loose: int = 0
    back: int = 0
    back_at: int = 0

    def __post_init__(self) -> None:
        self.key = self.connection << 32 | self.sid


@dataclass(slots=True)
class Link:
    """A connection that was opened, or has brought a frame: when it was, and when its last frame came (0: none yet)."""

    opened_ns: int
    heard_ns: int = 0


@dataclass(slots=True)
class Gap:
    """A gap that is not healed yet for `markets`; `sid` 0: the whole connection's."""

    frame: int
    cause: str
    opened_at: int
    markets: dict[str, None]
    channel: str | None = None
    expected: int = NULL
    got: int = NULL
    sid: int = 0


@dataclass(slots=True)
class Tally:
    """Data frames by what became of them; `others` counts the readable messages that are neither delta nor snapshot.

    `more`: readable messages beyond the one as which their frame counts, of frames that were several.
    """

    received: int = 0
    control: int = 0
    unknown: int = 0
    refused: int = 0
    snapshots: int = 0
    deltas: int = 0
    others: dict[str, int] = field(default_factory=dict)
    more: int = 0

    @property
    def messages(self) -> int:
        """All that could be read."""
        return self.deltas + self.snapshots + sum(self.others.values())

    @property
    def decoded(self) -> int:
        """Frames of which rows were made, counted by themselves: the tally would balance by definition otherwise."""
        return self.messages - self.control - self.unknown - self.more

    @property
    def by_type(self) -> dict[str, int]:
        """Every message that could be read, by its type."""
        books = {"orderbook_delta": self.deltas, "orderbook_snapshot": self.snapshots}
        return {name: n for name, n in sorted((books | self.others).items()) if n}


@dataclass(slots=True)
class State:
    """The builder between two records. `holed`: the journal has lost the records before the next one.

    `begun`: its first record was read, which says what is `wanted`. `latest_ns`: the latest time of receipt so far; a
    clock may be set back. `as_seen`: a market is wanted from its first frame on, since nobody knows more.
    `gaps_repeated`: how often a gap showed again while it was open. `awaited`: wanted markets that are to get a first book:
    wall time from which they lack it, monotonic time from which they have to wait; the first of them is judged at `judge_at`.
    `turned`: connections of which no book is believed.
    `watches`: audits under way; `audits`: verdict → how many.
    """

    session: str
    frame: int = 0
    holed: bool = False
    source: str = "live"
    software: str = ""
    settings: str = "{}"
    begun: bool = False
    as_seen: bool = False
    wanted: list[str] = field(default_factory=list)
    started_ns: int = 0
    last_ns: int = 0
    latest_ns: int = 0
    ended: bool = False
    subscriptions: dict[int, dict[int, Subscription]] = field(default_factory=dict)
    turned: list[int] = field(default_factory=list)
    links: dict[int, Link] = field(default_factory=dict)
    markets: dict[str, Market] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    gaps_opened: int = 0
    gaps_healed: int = 0
    gaps_repeated: int = 0
    awaited: dict[str, tuple[int, int]] = field(default_factory=dict)
    judge_at: int = NEVER
    watches: list[Watch] = field(default_factory=list)
    audits: dict[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    census: Census = field(default_factory=Census)
