"""A session's records folded into rows once more, segment by segment: what sealing, importing and verifying share."""

from __future__ import annotations

from collections.abc import Callable

from kalshi_trio.journal.checkpoints import Checkpoint, Spacing
from kalshi_trio.journal.digest import Digests, TableDigest
from kalshi_trio.journal.reading import Hole
from kalshi_trio.journal.window import Frames
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.builder import Builder, Made, SegmentEnd
from kalshi_trio.protocol.schema import ROW_SCHEMAS, RowBatch

log = get_logger(__name__)


def feed(builder: Builder, found: Frames | Hole) -> None:
    """Takes the next records; those that are damaged are said, and become a hole in the rows too."""
    if isinstance(found, Hole):
        log.error("Session %s has lost records %d-%d: %s", builder.state.session, found.first, found.last, found.why)
        builder.lost(found.last)
    else:
        for records in found.records:
            builder.feed(records)


Choose = Callable[[RowBatch], RowBatch]
"""Chooses among rows."""


class SegmentRows:
    """Blocking: the rows of one segment, as tables and as digests; those that `choose` leaves."""

    def __init__(self, choose: Choose = lambda batch: batch) -> None:
        self._choose = choose
        self._begin()

    def _begin(self) -> None:
        self._digests = {name: TableDigest(name) for name in ROW_SCHEMAS}
        self._counts = dict.fromkeys(ROW_SCHEMAS, 0)

    def add(self, made: Made) -> RowBatch:
        """The rows of `made`, counted and digested."""
        batch = self._choose(made.rows())
        for name, table in batch.tables.items():
            self._digests[name].update(table)
            self._counts[name] += table.num_rows
        return batch

    def end(self) -> Digests:
        """The tables that had rows; the next segment begins."""
        done = {name: (count, self._digests[name].hexdigest()) for name, count in self._counts.items() if count}
        self._begin()
        return done


class Fold:
    """Blocking: takes every record of a session in order; `report` hears of each segment that is over.

    It may begin at a `checkpoint`, with the record behind it. `choose` picks among rows, `save` gets the checkpoints
    inside segments.
    """

    def __init__(
        self,
        session: str,
        report: Callable[[SegmentEnd, Digests], None],
        checkpoint: bytes | None = None,
        choose: Choose = lambda batch: batch,
        save: Callable[[Checkpoint], None] | None = None,
        spacing: Spacing | None = None,
    ) -> None:
        self.builder = Builder(session, checkpoint)
        self._rows = SegmentRows(choose)
        self._report = report
        self._save = save
        self._spacing = spacing or Spacing()
        self._segment, self._first = 0, self.builder.state.frame + 1
        self._before = self.builder.state.tally.by_type

    def feed(self, found: Frames | Hole) -> list[RowBatch]:
        """The rows of these records."""
        if found.segment != self._segment:
            self.end()
            self._segment, self._first = found.segment, self.builder.state.frame + 1
        if isinstance(found, Hole):
            feed(self.builder, found)
        else:
            self._feed(found)
        rows = [self._rows.add(made) for made in self.builder.take()]
        self.builder.told()
        return rows

    def _feed(self, frames: Frames) -> None:
        for records in frames.records:
            self.builder.feed(records)
            self._spacing.add(records)
            if self._save and self._spacing.due:
                blob = self._spacing.dumped(self.builder.dump())
                latest = self.builder.state.latest_ns
                self._save(Checkpoint(frames.segment, records.last + 1, blob, latest, inside=True))

    def resume(self, checkpoint: bytes) -> None:
        """Goes on from there instead, where what came before is lost. A segment under way gets no true digest by it."""
        self.builder = Builder(self.builder.state.session, checkpoint)
        self._before = self.builder.state.tally.by_type

    def end(self) -> None:
        """The segment under way is over, or the session is."""
        last = self.builder.state.frame
        if self._segment and last >= self._first:
            now = self.builder.state.tally.by_type
            by_type = {name: n - self._before.get(name, 0) for name, n in now.items() if n > self._before.get(name, 0)}
            self._before = now
            blob = self._spacing.dumped(self.builder.dump())
            end = SegmentEnd(self._segment, self._first, last, by_type, blob, self.builder.state.latest_ns)
            self._report(end, self._rows.end())
        self._segment = 0
