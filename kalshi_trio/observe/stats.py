"""Plain numbers that the tasks keep up to date and that the console, `health` and the summary read.

Nothing here decides anything: remove it and the same rows are stored. Written and read on the event loop only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class Top(NamedTuple):
    """Best bid and ask of a market in YES terms; None where a side is empty."""

    bid_e4: int | None
    bid_size_e2: int | None
    ask_e4: int | None
    ask_size_e2: int | None
    valid: bool


@dataclass(slots=True)
class FeedStats:
    """The connection, as the feed sees it. `_mono_ns` are readings of the monotonic clock, 0 for never."""

    url: str = ""
    state: Literal["connecting", "connected", "waiting", "stopped"] = "connecting"
    connection: int = 0
    received: int = 0
    received_bytes: int = 0
    last_frame_mono_ns: int = 0
    last_pong_mono_ns: int = 0
    last_heard_mono_ns: int = 0
    """When anything at all was received, a server's ping too; brought up to date once a second."""
    reconnects: int = 0
    stalls: int = 0
    last_error: str = ""
    key_refused_ns: int = 0
    """Wall clock since which the exchange refuses the key that it took before; 0 while it does not."""


@dataclass(slots=True)
class JournalStats:
    """The journal: numbers of the last record taken and of the last one fsynced."""

    last_frame: int = 0
    durable_frame: int = 0
    segment: int = 0
    held_bytes: int = 0
    last_fsync_mono_ns: int = 0
    error: str = ""


@dataclass(slots=True)
class BuilderStats:
    """What the builder made of the records up to `frame`."""

    frame: int = 0
    decoded: int = 0
    control: int = 0
    unknown: int = 0
    refused: int = 0
    snapshots: int = 0
    deltas: int = 0
    gaps_opened: int = 0
    gaps_healed: int = 0
    audits: dict[str, int] = field(default_factory=dict)
    """Verdict → how many."""
    books_valid: int = 0
    markets: int = 0
    wanted: int = 0
    closed: int = 0
    """Of those that are wanted, how many are closed: no book of them is to come."""
    not_whole: dict[str, int] = field(default_factory=dict)
    """Wanted markets that are not closed and whose book is not whole → since when, by the monotonic clock (ns)."""
    by_type: dict[str, int] = field(default_factory=dict)
    tops: dict[str, Top] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)
    """Market → deltas so far, for choosing which to show."""
    drift: list[str] = field(default_factory=list)
    """Types, fields and precisions never seen before, as text."""


@dataclass(slots=True)
class SinkStats:
    """One sink: how far it has the session and how it fares."""

    name: str
    state: Literal["opening", "ok", "catching up", "retrying", "refused", "closed"] = "opening"
    through: int = 0
    stored_rows: int = 0
    pending_rows: int = 0
    last_stored_mono_ns: int = 0
    last_error: str = ""
    tables: dict[str, int] = field(default_factory=dict)
    """Table → rows stored of this session."""


@dataclass(slots=True)
class Stats:
    """All of it, for one session."""

    session: str = ""
    started_ns: int = 0
    started_mono_ns: int = 0
    feed: FeedStats = field(default_factory=FeedStats)
    journal: JournalStats = field(default_factory=JournalStats)
    builder: BuilderStats = field(default_factory=BuilderStats)
    sinks: dict[str, SinkStats] = field(default_factory=dict)
    lateness_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    """Stage (`exchange_to_receive`, `receive_to_fsync`, `receive_to_book`, `receive_to_parquet`, …) → p50, p99, max."""
    warnings: int = 0
    errors: int = 0
