"""A generated day as a session on disk, cut and sealed as the recorder does it, and what its books were at random instants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench_feeder import subscribe, tickers

from kalshi_trio.exchange.desk import Desk
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.fold import Fold
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.digest import Digests
from kalshi_trio.journal.disk import Disk, rewrite
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.builder import Builder, SegmentEnd
from kalshi_trio.protocol.records import Kind, Records
from kalshi_trio.sealing import Sealer, verdict_of

RATE = 5_000_000 / 86_400
"""Deltas a second: five million a day."""
STEP_US = 100_000
START_NS = 1_795_478_400_000_000_000
"""2026-11-24, midnight (UTC)."""
LATE_NS = 3_000_000
TOGETHER = 20_000
"""Records written and read at once."""

Levels = dict[str, dict[int, int]]


class Question(NamedTuple):
    """`sides` of `market` were this when the last record was received at `ns`."""

    market: str
    ns: int
    sides: Levels


class Day:
    """Makes the session `folder` of about `deltas` deltas; `questions` are its books at so many random instants."""

    def __init__(self, folder: Path, deltas: int, markets: int, questions: int, seed: int, minutes: float) -> None:
        self.questions: list[Question] = []
        self.records = 0
        self._random = Random(seed)  # noqa: S311  to be repeated
        self._deltas, self._segment_ns = deltas, int(minutes * 60e9)
        steps = int(deltas / RATE * 1e6 / STEP_US)
        self._asked = set(self._random.sample(range(1, steps), questions))
        self._steps = steps
        self._floor = GeneratedFloor(tickers(markets), seed, RATE)
        self._session = "20261124_000000-0000000b"
        self._disk = Disk(folder, {"format": "1", "session": self._session, "software": "bench"})
        self._sealer = Sealer(folder, Manifest(self._session, folder.name, "import", "bench", ""))
        self._fold = Fold(self._session, self._ended, save=partial(checkpoints.save, folder))
        self._segment, self._in_segment, self._since_ns = 1, 0, START_NS
        self._waiting: list[Records] = []
        self._held = 0

    def write(self) -> Iterator[int]:
        """Says after some thousand records how many there are."""
        self._disk.open()
        checkpoints.save(self._disk.folder, Checkpoint(1, 1, Builder(self._session).dump(), 0))
        markets = tuple(self._floor.markets)
        self._own("session", START_NS, event="started", source="import", software="bench", markets=markets, settings={})
        self._own("connection", START_NS, event="open")
        desk = Desk(self._floor)
        frames = desk.command(subscribe(markets))
        for step in range(self._steps):
            ns = START_NS + step * STEP_US * 1_000
            frames += desk.events(self._floor.advance(STEP_US, ns // 1_000))
            if frames:
                self._add("frame", 1, ns + LATE_NS, frames)
                frames = []
            if step in self._asked:
                market = self._random.choice(markets)
                sides = {side: dict(levels) for side, levels in self._floor.markets[market].book.sides.items()}
                self.questions.append(Question(market, ns + LATE_NS, sides))
            if self._held >= TOGETHER:
                self._flush()
                yield self.records
        self._end(START_NS + self._steps * STEP_US * 1_000 + LATE_NS)

    def _own(self, kind: Kind, ns: int, **event: object) -> None:
        self._add(kind, int(kind == "connection"), ns, [json.dumps(event).encode()])

    def _add(self, kind: Kind, connection: int, ns: int, data: list[bytes]) -> None:
        aged = self._segment_ns and ns - self._since_ns >= self._segment_ns
        if self._in_segment >= 1_000_000 or (aged and self._in_segment):
            self._flush()
            self._segment, self._in_segment, self._since_ns = self._segment + 1, 0, ns
        self._waiting.append(Records(self.records + 1, kind, connection, ns, ns, data))
        self.records += len(data)
        self._held += len(data)
        self._in_segment += len(data)

    def _flush(self) -> None:
        if self._waiting:
            self._disk.write([(self._segment, run) for run in self._waiting])
            self._fold.feed(Frames(self._segment, self._waiting))
            self._waiting, self._held = [], 0

    def _ended(self, end: SegmentEnd, rows: Digests) -> None:
        self._sealer.segment(end, rows, more=True)

    def _end(self, ns: int) -> None:
        self._own("connection", ns, event="closed", final=True)
        self._own("session", ns, event="ended", verdict="complete")
        self._flush()
        self._disk.end()
        self._fold.end()
        state = self._fold.builder.state
        self._sealer.begun(state)
        closed = [rewrite(self._disk.folder / one.file, self._disk.metadata) for one in self._disk.closed]
        self._sealer.finish(state, verdict_of(state), closed, {})
