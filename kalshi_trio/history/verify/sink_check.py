"""One sink held against the journal, in step with it: rows, digests, and what is missing, double, foreign or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from kalshi_trio.errors import SinkUnavailable
from kalshi_trio.history.verify.compare import Difference, compare, frame_of, keys_of
from kalshi_trio.history.verify.findings import Finding, Held
from kalshi_trio.history.verify.journal_walk import Piece
from kalshi_trio.journal.digest import TableDigest, session_digest
from kalshi_trio.journal.manifest import Rows
from kalshi_trio.journal.sinks_report import Stored
from kalshi_trio.protocol.schema import ROW_SCHEMAS, beyond
from kalshi_trio.sinks.rows import NEVER, RowDamage, RowSource

_KINDS = {
    "missing": "rows missing",
    "double": "rows that stand twice",
    "foreign": "rows that the journal does not make",
    "changed": "rows with other values",
}


@dataclass
class _Span:
    """How many, from which frame to which."""

    count: int = 0
    first: int = 0
    last: int = 0

    def add(self, count: int, first: int, last: int) -> None:
        if count:
            self.count, self.first, self.last = self.count + count, self.first or first, max(self.last, last)


@dataclass
class _Wrong:
    """A segment whose rows of a table are not those that were sealed."""

    segment: int
    frames: tuple[int, int]
    made: int
    found: int


@dataclass
class _Table:
    rest: pa.Table
    pieces: Iterator[pa.Table]
    digest: TableDigest
    held: Held = field(default_factory=Held)
    in_segment: int = 0
    digests: list[str] = field(default_factory=list)
    spans: dict[str, _Span] = field(default_factory=lambda: {kind: _Span() for kind in _KINDS})
    tail: _Span = field(default_factory=_Span)
    """Missing rows behind the last one that was found: they may be pending."""
    columns: dict[str, None] = field(default_factory=dict)
    wrong: list[_Wrong] = field(default_factory=list)


class SinkCheck:
    """Blocking: give it the pieces of the journal and the ends of its segments in order, then ask for `findings`.

    `said`: what sinks.json says of this sink, None if nothing; then rows behind the last one are pending, too.
    """

    def __init__(self, source: RowSource, session: str, said: Mapping[str, Stored] | None) -> None:
        self.name = source.name
        self._said = said
        self._last = 0
        self._damage: list[Finding] = []
        self._tables = {
            name: _Table(schema.empty_table(), source.batches(name, session, report=self._report), TableDigest(name))
            for name, schema in ROW_SCHEMAS.items()
        }

    def piece(self, piece: Piece) -> dict[str, int]:
        """The next records; how many rows of which market this sink has of them, where the journal has lost them."""
        markets: dict[str, int] = {}
        try:
            self._piece(piece, markets)
        except SinkUnavailable as error:
            self._give_up(error)
        return markets

    def _piece(self, piece: Piece, markets: dict[str, int]) -> None:
        for name, table in self._tables.items():
            found = [ROW_SCHEMAS[name].empty_table()]
            for rows in self._through(table, piece.hi):
                table.digest.update(rows)
                table.in_segment += rows.num_rows
                table.held.rows += rows.num_rows
                table.spans["missing"], table.tail = _joined(table.spans["missing"], table.tail), _Span()
                if piece.tables is not None:
                    found.append(rows)
                elif piece.lost is not None:
                    _count(rows, markets)
            if piece.tables is not None:
                self._compare(table, piece.tables.get(name, found[0]), pa.concat_tables(found))

    def segment(self, number: int, frames: tuple[int, int], sealed: Mapping[str, Rows]) -> None:
        """A segment is through; `sealed`: what its rows are to be."""
        for name, table in self._tables.items():
            digest = table.digest.hexdigest() if table.in_segment else ""
            if digest:
                table.digests.append(digest)
            made = sealed.get(name, Rows())
            if (table.in_segment, digest) != (made.made, made.digest):
                table.wrong.append(_Wrong(number, frames, made.made, table.in_segment))
            table.digest, table.in_segment = TableDigest(name), 0

    def finish(self, last: int, *, ended: bool) -> dict[str, Held]:
        """What it holds; `ended`: rows behind `last`, the session's last record, are foreign, else they are new ones."""
        self._last = last
        for table in self._tables.values():
            try:
                for rows in self._through(table, NEVER) if ended else ():
                    frames = rows["frame"]
                    table.spans["foreign"].add(rows.num_rows, frames[0].as_py(), frames[-1].as_py())
                    table.held.rows += rows.num_rows
            except SinkUnavailable as error:
                self._give_up(error)
                break
            table.held.digest = session_digest(table.digests) if table.digests else ""
        return {name: table.held for name, table in self._tables.items()}

    def findings(self) -> list[Finding]:
        """What is wrong, table by table; rows that are not stored yet are pending, not missing."""
        found = list(self._damage)
        for name, table in self._tables.items():
            self._settle(name, table)
            spans = {kind: span for kind, span in table.spans.items() if span.count}
            for kind, span in spans.items():
                setattr(table.held, kind, span.count)
                what = f"{_KINDS[kind]}: {span.count:,}{_told(kind, table)}"
                if kind == "foreign" and span.first > self._last:
                    what += f"; the journal ends at record {self._last}: an end that they were made of is missing there"
                found.append(Finding("damage", self.name, name, what, (span.first, span.last)))
            if table.held.pending:
                what = f"rows not stored yet: {table.held.pending:,}"
                found.append(Finding("pending", self.name, name, what, (table.tail.first, table.tail.last)))
            elif table.wrong and not spans:
                first = table.wrong[0]
                said = f"{first.found:,} rows, not the {first.made:,} that were sealed"
                said = said if first.found != first.made else "the digest differs from the seal"
                found.append(Finding("damage", self.name, name, f"segment {first.segment}: {said}", first.frames))
        return found

    def _settle(self, name: str, table: _Table) -> None:
        """Whether what is missing at the end is pending. Where the journal is lost, the seal alone tells how much it is."""
        said = self._said.get(name, Stored()) if self._said is not None else None
        missing = table.tail
        if not missing.count and not any(span.count for span in table.spans.values()):
            for wrong in table.wrong:
                missing.add(max(wrong.made - wrong.found, 0), *wrong.frames)
        if said is None or missing.count <= said.pending:
            table.held.pending = missing.count
        else:
            table.spans["missing"], table.tail = _joined(table.spans["missing"], table.tail), _Span()

    def _give_up(self, error: SinkUnavailable) -> None:
        """It does not answer any more: what it holds is not known."""
        self._tables.clear()
        self._damage.append(Finding("note", self.name, "rows", f"not checked to the end: {error}"))

    def _report(self, damage: RowDamage) -> None:
        frames = (damage.first, damage.last) if damage.last else None
        self._damage.append(Finding("damage", self.name, damage.where, damage.why, frames))

    def _through(self, table: _Table, hi: int) -> Iterator[pa.Table]:
        """The rows up to frame `hi` that were not given yet."""
        while True:
            later = beyond(table.rest, hi)
            now = table.rest.slice(0, table.rest.num_rows - later.num_rows)
            table.rest = later
            if now.num_rows:
                yield now
            if later.num_rows:
                return
            more = next(table.pieces, None)
            if more is None:
                return
            table.rest = more

    def _compare(self, table: _Table, expected: pa.Table, found: pa.Table) -> None:
        difference = compare(expected, found)
        if difference is None:
            return
        last = keys_of(found).max(initial=np.uint64(0))
        behind = difference.missing > last
        _add(table.spans["missing"], difference.missing[~behind])
        _add(table.tail, difference.missing[behind])
        self._add(table, difference)

    def _add(self, table: _Table, difference: Difference) -> None:
        for kind in ("double", "foreign", "changed"):
            _add(table.spans[kind], getattr(difference, kind))
        table.columns.update(dict.fromkeys(difference.columns))


def _told(kind: str, table: _Table) -> str:
    where = f", first in segment {table.wrong[0].segment}" if table.wrong else ""
    return where + (f" ({', '.join(table.columns)})" if kind == "changed" else "")


def _add(span: _Span, keys: object) -> None:
    numbers = np.asarray(keys)
    if len(numbers):
        span.add(len(numbers), frame_of(numbers[0]), frame_of(numbers[-1]))


def _joined(one: _Span, other: _Span) -> _Span:
    one.add(other.count, other.first, other.last)
    return one


def _count(rows: pa.Table, markets: dict[str, int]) -> None:
    if "market" in rows.column_names:
        for one in rows["market"].value_counts().to_pylist():
            if one["values"] is not None:
                markets[one["values"]] = markets.get(one["values"], 0) + one["counts"]
