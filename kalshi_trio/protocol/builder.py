"""The builder: a fold over the journal's records that makes every row, and nothing but that.

The same records give the same rows, byte for byte, live or replayed, from the start or from a checkpoint: no clock, no
randomness, no input beside the records.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple

import msgspec

from kalshi_trio.protocol.audits import Audits
from kalshi_trio.protocol.books import Books
from kalshi_trio.protocol.columns import Packed
from kalshi_trio.protocol.control import ControlFrames
from kalshi_trio.protocol.frames import Frames
from kalshi_trio.protocol.gaps import Gaps
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.protocol.signals import Notice, Signal
from kalshi_trio.protocol.state import State

_DAY_NS = 86_400_000_000_000
_EPOCH = datetime.date(1970, 1, 1)


class Made(NamedTuple):
    """What records `lo`..`hi` brought forth, all received on one day (UTC); `rows` may be called in a thread."""

    session: str
    lo: int
    hi: int
    day: int
    packed: Packed
    frames: int
    ts_first: int
    ts_last: int

    def rows(self) -> RowBatch:
        """The rows as Arrow tables."""
        tables = self.packed.arrow()
        date = _EPOCH + datetime.timedelta(days=self.day)
        nbytes = sum(table.nbytes for table in tables.values())
        return RowBatch(self.session, self.lo, self.hi, date, tables, self.frames, nbytes, self.ts_first, self.ts_last)


class SegmentEnd(NamedTuple):
    """Stands between two batches of rows where a segment of the journal ends.

    `first`..`last` are its records, `by_type` its readable frames, `checkpoint` the state behind the last one,
    `latest_ns` the latest time of receipt of all records so far.
    """

    segment: int
    first: int
    last: int
    by_type: dict[str, int]
    checkpoint: bytes
    latest_ns: int


class Builder:
    """Feed it every record of a session in order; `take` what it made; `dump` it between two records."""

    def __init__(self, session: str, checkpoint: bytes | None = None) -> None:
        self.state = msgspec.msgpack.decode(checkpoint, type=State) if checkpoint else State(session)
        self._out = out = Output()
        self._gaps = gaps = Gaps(self.state, out)
        books = Books(self.state, out, gaps)
        self._control = ControlFrames(self.state, out, gaps, books)
        self._frames = Frames(self.state, out, gaps, books, self._control)
        self._audits = Audits(self.state, out, books)
        self._made: list[Made] = []
        self._begin(0)

    def _begin(self, day: int) -> None:
        self._lo = self.state.frame + 1
        self._received = self.state.tally.received
        self._day = day
        self._ts_first = 0

    def dump(self) -> bytes:
        """All that later rows depend on; `Builder(session, dump)` goes on with the next record."""
        return msgspec.msgpack.encode(self.state)

    @property
    def milestone(self) -> tuple[int, int, int]:
        """Book events, snapshots and deltas when the number of events last was a multiple of 1000."""
        return self._frames.milestone

    @property
    def waiting(self) -> int:
        """How many records were fed since the last `take`."""
        return self.state.frame + 1 - self._lo

    def lost(self, through: int) -> None:
        """The records up to `through` are damaged: nothing is known of them, and the next one opens a gap."""
        self.state.frame = through
        self.state.holed = True

    def feed(self, records: Records) -> None:
        """Takes the next records; ValueError if they are not the next ones."""
        state, out = self.state, self._out
        if records.first != state.frame + 1:
            raise ValueError(f"record {records.first} after {state.frame}")
        day = records.ts_recv // _DAY_NS
        if day != self._day:
            self._cut(day)
        self._ts_first = self._ts_first or records.ts_recv
        before, out.ts_recv, out.mono_ns = state.last_ns, records.ts_recv, records.mono_ns
        state.last_ns = records.ts_recv
        state.latest_ns = max(state.latest_ns, records.ts_recv)
        out.connection = records.connection
        out.packed.reads.append((records.first, records.ts_recv, records.connection))
        if state.holed:
            out.frame, out.sid, out.seq = records.first, 0, 0
            self._control.lost(before)
        if records.mono_ns >= state.judge_at:
            out.frame, out.sid, out.seq = records.first, 0, 0
            self._gaps.judge(records.mono_ns)
        if state.watches:
            out.frame, out.sid, out.seq = records.first, 0, 0
            self._audits.look("records lost")
            self._audits.time(records.mono_ns)
        if records.kind == "frame":
            self._feed(records)
        else:
            for frame, data in enumerate(records.data, records.first):
                out.frame, out.sid, out.seq, out.stale = frame, 0, 0, False
                self._own(records, data)
        state.frame = records.last

    def _feed(self, records: Records) -> None:
        """Frames: all of a read at once, one by one while somebody looks at the books in between."""
        data, at = records.data, 0
        while self.state.watches and at < len(data):
            self._frames.feed(records._replace(first=records.first + at, data=data[at : at + 1]))
            self._audits.look("no whole book")
            at += 1
        if at < len(data):
            self._frames.feed(records._replace(first=records.first + at, data=data[at:]) if at else records)

    def _own(self, records: Records, data: bytes) -> None:
        """A record that is no frame. Commands and stalls change no row."""
        if records.kind == "rest":
            self._audits.record(data, records.mono_ns)
            return
        if records.kind == "connection":
            self._control.connection(data)
        elif records.kind == "session":
            self._control.session(data)
        self._audits.look("disconnected")

    def _cut(self, day: int) -> None:
        state, out = self.state, self._out
        if self.waiting:
            received = state.tally.received - self._received
            span = (state.session, self._lo, state.frame, self._day)
            self._made.append(Made(*span, out.packed, received, self._ts_first, state.last_ns))
            out.packed = Packed()
        self._begin(day)

    def take(self) -> list[Made]:
        """What was made since the last time: mostly one batch, cut where the date (UTC) changes."""
        self._cut(self._day)
        made, self._made = self._made, []
        return made

    def told(self) -> tuple[list[Notice], list[Signal]]:
        """Lines for the log and facts for the subscriber since the last time."""
        out = self._out
        told = (out.notices, out.signals)
        out.notices, out.signals = [], []
        return told
