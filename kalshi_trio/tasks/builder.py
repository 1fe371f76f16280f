"""The builder's task: records in, rows and facts out, as they come; it waits for no sink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from kalshi_trio.journal.checkpoints import Checkpoint, Spacing
from kalshi_trio.journal.reader import Frames, Reader
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.stats import BuilderStats, Top
from kalshi_trio.protocol.builder import Builder, Made, SegmentEnd
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.signals import Signal

log = get_logger(__name__)

ROWS_EVERY = 0.25
"""Seconds after which rows are handed on; books, log lines and facts are up to date at once."""
ROWS_RECORDS = 20_000
PROGRESS_EVERY = 1.0
SLICE = 1_000
"""Records between two looks at the event loop: some 4 ms."""


Rows = Made | SegmentEnd | Checkpoint


async def run_builder(
    builder: Builder,
    reader: Reader,
    rows: trio.MemorySendChannel[Rows],
    signals: trio.MemorySendChannel[Signal],
    stats: BuilderStats,
    seen: Seen,
    watch: Callable[[Records], None],
) -> None:
    """Feeds the builder until the journal ends; then closes `rows` and `signals`. `watch` is told of each run it fed."""
    with rows, signals:
        await _Task(builder, rows, signals, stats, seen, watch).run(reader)


class Seen:
    """Up to which record the builder has looked."""

    def __init__(self) -> None:
        self._frame = 0
        self._moved = trio.Event()

    def move(self, frame: int) -> None:
        """The builder has seen everything up to `frame`."""
        self._frame = frame
        self._moved.set()
        self._moved = trio.Event()

    async def until(self, frame: int) -> None:
        """Waits until it has seen record `frame`."""
        while self._frame < frame:
            await self._moved.wait()


@dataclass(slots=True)
class _Task:
    """One session's builder between its channels."""

    builder: Builder
    rows: trio.MemorySendChannel[Rows]
    signals: trio.MemorySendChannel[Signal]
    stats: BuilderStats
    seen: Seen
    watch: Callable[[Records], None]
    segment: int = 0
    first: int = 1
    by_type: dict[str, int] = field(default_factory=dict)
    spacing: Spacing = field(default_factory=Spacing)
    rows_at: float = float("inf")
    progress_at: float = 0.0
    said: int = 0

    async def run(self, reader: Reader) -> None:
        """Until the reader's end."""
        while True:
            frames: Frames | None = None
            try:
                with trio.move_on_at(self.rows_at):
                    frames = await reader.receive()
            except trio.EndOfChannel:
                break
            if frames is not None:
                await self._take_in(frames)
            if trio.current_time() >= self.rows_at or self.builder.waiting >= ROWS_RECORDS:
                await self._hand_on()
        await self._end_segment()

    async def _take_in(self, frames: Frames) -> None:
        if frames.segment != self.segment:
            await self._end_segment()
            self.segment, self.first = frames.segment, self.builder.state.frame + 1
        if not self.builder.waiting:
            self.rows_at = trio.current_time() + ROWS_EVERY
        fed = 0
        for records in frames.records:
            self.builder.feed(records)
            self.watch(records)
            self.spacing.add(records)
            fed += len(records.data)
            if fed >= SLICE:
                fed = 0
                await trio.lowlevel.checkpoint()
        self._count()
        await self._tell()
        self.seen.move(self.builder.state.frame)
        if self.spacing.due:
            state, blob = self.builder.state, self.spacing.dumped(self.builder.dump())
            await self.rows.send(Checkpoint(self.segment, state.frame + 1, blob, state.latest_ns, inside=True))

    async def _tell(self) -> None:
        """Log lines and facts of what was just fed."""
        notices, signals = self.builder.told()
        for notice in notices:
            log.log(notice.level, "%s", notice.text)
        for signal in signals:
            await self._pass_on(signal)
        events, snapshots, deltas = self.builder.milestone
        if events != self.said and trio.current_time() >= self.progress_at:
            self.said, self.progress_at = events, trio.current_time() + PROGRESS_EVERY
            log.info("Processed %d events (%d snapshots, %d deltas)", events, snapshots, deltas)

    async def _pass_on(self, signal: Signal) -> None:
        """The subscriber ends with the feed, before the builder does."""
        try:
            await self.signals.send(signal)
        except trio.BrokenResourceError:
            log.debug("Nobody listens any more: %s", signal)

    async def _hand_on(self) -> None:
        self.rows_at = float("inf")
        for made in self.builder.take():
            await self.rows.send(made)

    async def _end_segment(self) -> None:
        await self._hand_on()
        state = self.builder.state
        last = state.frame
        if last < self.first or not self.segment:
            return
        now = state.tally.by_type
        by_type = {name: n - self.by_type.get(name, 0) for name, n in now.items() if n > self.by_type.get(name, 0)}
        self.by_type = now
        blob = self.spacing.dumped(self.builder.dump())
        await self.rows.send(SegmentEnd(self.segment, self.first, last, by_type, blob, state.latest_ns))
        self.first = last + 1

    def _count(self) -> None:
        state, stats = self.builder.state, self.stats
        tally = state.tally
        stats.frame = state.frame
        stats.decoded, stats.control, stats.unknown = tally.decoded, tally.control, tally.unknown
        stats.refused, stats.snapshots, stats.deltas = tally.refused, tally.snapshots, tally.deltas
        stats.gaps_opened, stats.gaps_healed = state.gaps_opened, state.gaps_healed


def look(builder: Builder, stats: BuilderStats, most: int, mono_ns: int) -> None:
    """Puts into `stats` what people look at: counts by type, audits, drift, tops of the `most` busiest markets.

    `mono_ns`: the monotonic clock now, for what is to be known since when.
    Walks all markets, so it is for once a second, not for every frame.
    """
    state = builder.state
    stats.by_type = state.tally.by_type
    stats.audits = dict(state.audits)
    stats.drift = state.census.lines()
    stats.markets = len(state.markets)
    stats.books_valid = sum(market.valid for market in state.markets.values())
    wanted = {ticker: state.markets.get(ticker) for ticker in state.wanted}
    stats.wanted = len(wanted)
    stats.closed = sum(market is not None and market.closed > 0 for market in wanted.values())
    stats.not_whole = {
        ticker: stats.not_whole.get(ticker, mono_ns)
        for ticker, market in wanted.items()
        if market is None or not (market.valid or market.closed)
    }
    busiest = sorted(state.markets.values(), key=lambda market: market.deltas, reverse=True)[:most]
    stats.busy = {market.ticker: market.deltas for market in busiest}
    stats.tops = {market.ticker: Top(*market.book.top(), market.valid) for market in busiest}
