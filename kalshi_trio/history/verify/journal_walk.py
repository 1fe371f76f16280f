"""A session's journal folded once more, piece by piece, each with the rows that it makes: the truth to hold others to.

Behind records that are lost the fold knows nothing of the books any more. It goes on from the next checkpoint that is
whole, and until there nobody is sure of its rows: only the digests in the seal can say what they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from kalshi_trio.fold import Fold
from kalshi_trio.history.verify.findings import Finding, Lost
from kalshi_trio.history.verify.gaps import GapLog
from kalshi_trio.history.verify.sequences import Sequences, Watch
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.batches import NEVER
from kalshi_trio.journal.digest import Digests
from kalshi_trio.journal.reading import Hole, read_around
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.builder import SegmentEnd
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import ROW_SCHEMAS
from kalshi_trio.protocol.state import State


class Piece(NamedTuple):
    """Records `lo`..`hi` of a segment, 0 if that is gone; `tables` are their rows, None where nobody can be sure of them.

    `lost`: what is said of records that are lost.
    """

    segment: int
    lo: int
    hi: int
    tables: dict[str, pa.Table] | None = None
    lost: Finding | None = None


class Ended(NamedTuple):
    """A segment is through: `rows` as the journal makes them, believed if `sure`."""

    number: int
    first: int
    last: int
    by_type: dict[str, int]
    rows: Digests
    sure: bool


class Walk:
    """Blocking: goes once through the records behind `after` and up to `through` (NEVER: as far as there are any)."""

    def __init__(self, folder: Path, session: str, after: int, through: int) -> None:
        self._folder = folder
        self._after, self._through = after, through
        self._fold = Fold(session, self._segment_end)
        self._segment = 0
        self._sure = self._segment_sure = True
        self._ended: list[Ended] = []
        self._lost: list[tuple[Finding, Watch, dict[tuple[int, int], str]]] = []
        self.sequences = Sequences()
        self.gaps = GapLog()
        self.findings: list[Finding] = []
        self.last_event = ""
        """Of the last record about the session itself: started, recovered, ended."""

    @property
    def state(self) -> State:
        """The builder's state by now."""
        return self._fold.builder.state

    @property
    def sure(self) -> bool:
        """Whether the state is what the whole recording makes."""
        return self._sure

    def pieces(self) -> Iterator[Piece | Ended]:
        """Everything in order; a segment's end stands behind its last piece."""
        if self._after:
            self._resume_at(self._after + 1)
            if self.state.frame != self._after:
                self._fold.builder.lost(self._after)
        for found in read_around(self._folder, self._after, self._through):
            if isinstance(found, Hole) and found.last == NEVER:
                break  # nobody has said how many records there are
            if found.segment != self._segment:
                yield from self._next_segment(found)
            for part in self._parts(found):
                yield self._take(part)
        self._fold.end()
        yield from self._ended
        self._tell()

    def _next_segment(self, found: Frames | Hole) -> Iterator[Ended]:
        self._fold.end()
        yield from self._ended
        self._ended = []
        self._segment = found.segment
        first = found.records[0].first if isinstance(found, Frames) else found.first
        self._resume_at(first)
        self._segment_sure = self._sure

    def _parts(self, found: Frames | Hole) -> Iterator[Frames | Hole]:
        """The same, cut at the first checkpoint inside that can make the rows sure again."""
        if self._sure or isinstance(found, Hole):
            yield found
            return
        first, last = found.records[0].first, found.records[-1].last
        near = checkpoints.nearest(self._folder, last - 1)
        if near is None or near.first <= first:
            yield found
            return
        yield Frames(
            found.segment, [cut(run, first - 1, near.first - 1) for run in found.records if run.first < near.first]
        )
        self._fold.resume(near.blob)
        self._sure = True
        yield Frames(found.segment, [cut(run, near.first - 1, last) for run in found.records if run.last >= near.first])

    def _resume_at(self, first: int) -> None:
        """Holds the checkpoint at a segment's beginning against the state, or begins there where that is not known."""
        known = self._sure and first == self.state.frame + 1
        near = (
            checkpoints.at(self._folder, self._segment)
            if self._segment
            else checkpoints.nearest(self._folder, first - 1)
        )
        fits = near is not None and near.first == first
        if near is not None and fits and not known:
            self._fold.resume(near.blob)
        elif near is not None and self._segment and known and not (fits and near.blob == self._fold.builder.dump()):
            what = "not the state that the records before it make"
            self.findings.append(Finding("damage", "journal", near.name, what, (first, first)))
        self._sure = known or fits

    def _take(self, found: Frames | Hole) -> Piece:
        if isinstance(found, Hole):
            lost = self._hole(found)
            self._fold.feed(found)
            return Piece(found.segment, found.first, found.last, lost=lost)
        for records in found.records:
            self._look(records)
        parts: dict[str, list[pa.Table]] = {}
        for batch in self._fold.feed(found):
            for name, rows in batch.tables.items():
                parts.setdefault(name, []).append(rows)
        tables = {name: pa.concat_tables(parts[name]) for name in ROW_SCHEMAS if name in parts}
        if "gaps" in tables:
            self.gaps.add(tables["gaps"])
        first, last = found.records[0].first, found.records[-1].last
        return Piece(found.segment, first, last, tables if self._sure else None)

    def _look(self, records: Records) -> None:
        if records.kind == "frame":
            self.sequences.feed(records.connection, records.data)
        elif records.kind in ("connection", "session"):
            for data in records.data:
                event = str(msgspec.json.decode(data).get("event", ""))
                if records.kind == "session":
                    self.last_event = event
                elif event == "closed":
                    self.sequences.closed(records.connection)

    def _hole(self, found: Hole) -> Finding:
        state = self.state
        channels = {
            (sub.connection, sub.sid): sub.channel for subs in state.subscriptions.values() for sub in subs.values()
        }
        markets = sorted({*state.wanted, *(one.ticker for one in state.markets.values() if one.anchored)})
        file, _, why = found.why.partition(": ") if found.segment else ("no segment", "", "these records are gone")
        finding = Finding("damage", "journal", file, why, (found.first, found.last), markets=markets)
        self.findings.append(finding)
        self._lost.append((finding, self.sequences.hole(), channels))
        self._sure = self._segment_sure = False
        return finding

    def _segment_end(self, end: SegmentEnd, rows: Digests) -> None:
        self._ended.append(Ended(end.segment, end.first, end.last, end.by_type, rows, self._segment_sure))

    def _tell(self) -> None:
        """Which numbers were lost is known when those behind have come."""
        for finding, watch, channels in self._lost:
            finding.sequences = [
                Lost(lost.connection, lost.sid, lost.first, lost.last, channels.get((lost.connection, lost.sid), ""))
                for lost in watch.lost()
            ]


def cut(run: Records, after: int, through: int) -> Records:
    """The records behind `after` and up to `through` of a run that has some."""
    first = max(run.first, after + 1)
    return run._replace(first=first, data=run.data[first - run.first : through + 1 - run.first])
