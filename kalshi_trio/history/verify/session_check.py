"""One session, whole: files, journal, seal and sinks, in one pass over its records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.history.verify import files, seal
from kalshi_trio.history.verify.files import number_of
from kalshi_trio.history.verify.findings import Book, Covered, Finding, Level, SessionReport, Table
from kalshi_trio.history.verify.identity import session_id
from kalshi_trio.history.verify.journal_walk import Ended, Piece, Walk
from kalshi_trio.history.verify.sink_check import SinkCheck
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.batches import NEVER, closed_index
from kalshi_trio.journal.digest import session_digest
from kalshi_trio.journal.manifest import Manifest, Rows, Segment
from kalshi_trio.journal.reading import segments_of
from kalshi_trio.journal.sinks_report import Said, read_report
from kalshi_trio.journal.tags import FORMAT
from kalshi_trio.protocol.coverage import missing
from kalshi_trio.protocol.state import State
from kalshi_trio.sealing import concerned, coverage, time_text
from kalshi_trio.sinks.rows import RowSource


class SessionCheck:
    """Blocking: take its `steps`; then `report` says it all. Memory is bounded by some thousand records' rows."""

    def __init__(self, folder: Path, sources: list[RowSource], *, held: bool = False) -> None:
        """`held`: somebody holds the data folder, and may be recording this session."""
        self._folder = folder
        self._held = held
        self._manifest, self._intact = manifests.read_as_it_stands(folder)
        self._session = session_id(folder, self._manifest)
        manifest = self._manifest
        session = self._session
        verdict = manifest.verdict if manifest else "unknown"
        self.report = SessionReport(session, folder.name, verdict)
        self._found = self.report.findings
        self._said = self._read_said()
        self.report.retired = sorted(self._said.retired)
        sinks = self._said.sinks
        self._sinks = [SinkCheck(source, session, sinks.get(source.name.lower())) for source in sources]
        self._older = self._manifest is not None and self._manifest.format < FORMAT
        """Sealed by rules that made other rows of the same frames: it can be held against its own seal only."""
        self._made: dict[str, list[Rows]] = {}
        self._all_sure = True

    @property
    def open(self) -> bool:
        """Whether nobody has sealed it yet, or its manifest cannot be read."""
        return self._manifest is None or self._manifest.verdict == "open"

    def changed(self) -> Iterator[Finding]:
        """That its manifest was changed, where nothing else has told that: for what no record contradicts."""
        if self._manifest is not None and not self._intact and all(one.place != "manifest" for one in self._found):
            yield seal.damage("manifest.json", "it was changed after it was written: checksum differs")

    @property
    def records(self) -> int:
        """How many there are to look at, as manifest or last index says; 0 where nobody has said so."""
        segments = self._manifest.segments if self._manifest else []
        if self.open or not segments:
            return 0
        path = self._folder / Path(segments[-1].file).name
        index = closed_index(path) if path.is_file() else None
        return max(segments[-1].frames[1], index.entries[-1].last_frame if index else 0)

    def steps(self) -> Iterator[int]:
        """The number of the record that it has come to, after some thousand each time."""
        if not self._manifest and not self._session:
            self._found.append(Finding("gap", "journal", self._folder.name, "nothing was ever recorded in it"))
            self.report.verdict = "nothing recorded"
            return
        yield from self._files()
        entries = self._manifest.segments if self._manifest else []
        gone = [entry for entry in entries if number_of(entry) in self._said.retired]
        for entry in gone:
            self._to_sinks(Piece(0, entry.frames[0], entry.frames[1]))
            yield entry.frames[1]
        after = gone[-1].frames[1] if gone else 0
        walk = Walk(self._folder, self.report.session, after, self.records or NEVER)
        for found in walk.pieces():
            if isinstance(found, Ended):
                self._segment(found._replace(sure=found.sure and not self._older))
            else:
                self._to_sinks(found._replace(tables=None) if self._older else found)
                yield found.hi
        self._finish(walk)

    def _files(self) -> Iterator[int]:
        if self._manifest is None:
            what = "missing, or not what was written: the journal is read without it"
            self._found.append(Finding("damage", "manifest", "manifest.json", what))
        else:
            if self._session != self._manifest.session:
                what = f"{self._manifest.session} sealed, {self._session} in the rest of the folder"
                self._found.append(seal.damage("session", what))
            for finding in files.sealed_segments(self._folder, self._manifest, self._said.retired):
                self._found += [finding] if finding else []
                yield 0
            self._found += [] if self.open else seal.inner(self._manifest, self._folder)
        self._found += files.others(self._folder, self._manifest)

    def _read_said(self) -> Said:
        try:
            return read_report(self._folder)
        except JournalDamaged as error:
            why = str(error).partition(": ")[2]
            self._found.append(Finding("damage", "manifest", "sinks.json", f"cannot be read: {why}"))
            return Said({}, [])

    def _to_sinks(self, piece: Piece) -> None:
        """A piece of segments that are gone is cut at their ends, which the manifest knows."""
        for part, entry in _cut(piece, self._manifest) if not piece.segment else [(piece, None)]:
            kept = {sink.name: sink.piece(part) for sink in self._sinks}
            if piece.lost is not None:
                _tell_kept(piece.lost, kept)
            if entry is not None:
                self._all_sure = False
                for sink in self._sinks:
                    sink.segment(number_of(entry), entry.frames, entry.rows)

    def _segment(self, ended: Ended) -> None:
        entry = self._entry(ended.number)
        made = {table: Rows(*rows) for table, rows in ended.rows.items()}
        if ended.sure and entry is not None:
            self._found += seal.segment(entry, ended)
        self._all_sure &= ended.sure or (entry is not None and entry.rows == made)
        for table, rows in made.items():
            self._made.setdefault(table, []).append(rows)
        truth = entry.rows if entry is not None and not ended.sure else made
        for sink in self._sinks:
            sink.segment(ended.number, (ended.first, ended.last), truth)

    def _entry(self, number: int) -> Segment | None:
        entries = self._manifest.segments if self._manifest else []
        return next((one for one in entries if number_of(one) == number), None)

    def _finish(self, walk: Walk) -> None:
        state, report, manifest = walk.state, self.report, self._manifest
        self._found += walk.findings
        rows = {
            table: Rows(sum(one.made for one in parts), session_digest(one.digest for one in parts))
            for table, parts in sorted(self._made.items())
        }
        report.older = self._older and not self.open
        if report.older:
            what = "sealed by an older version, whose rules made other rows: held against its own seal, rows not made again"
            self._found.append(Finding("note", "manifest", "manifest.json", what))
        elif manifest is not None and not self.open and walk.sure and state.frame == self.records > 0:
            known = rows if self._all_sure else manifest.tally.rows
            self._found += seal.whole(manifest, walk, self._session, known)
        self._tables(rows, state.frame)
        report.records = state.frame
        report.segments = len(segments_of(self._folder))
        report.started, report.ended = time_text(state.started_ns), time_text(state.last_ns)
        tally = state.tally
        report.tally = {name: getattr(tally, name) for name in ("received", "decoded", "control", "unknown", "refused")}
        report.sequences = walk.sequences.runs()
        report.gaps = walk.gaps.holes(state.last_ns)
        self._markets(state)
        if state.gaps_opened:
            what = f"opened {state.gaps_opened:,}, healed {state.gaps_healed:,}"
            self._found.append(Finding("gap", "journal", "gaps", what))
        if state.tally.refused:
            what = f"{state.tally.refused:,} could not be read"
            self._found.append(Finding("gap", "journal", "frames", what))
        if self.open and self._held:
            self._found.append(Finding("note", "manifest", "manifest.json", "open: the session is not sealed yet"))
        elif self.open:
            # Nobody holds the data folder: whoever recorded it is dead.
            report.verdict = "cut short"
            what = "cut short, not mended yet: the next recording in this data folder does it"
            self._found.append(Finding("gap", "journal", "end", what, (state.frame, state.frame)))
        elif report.verdict == "cut short":
            self._found.append(Finding("gap", "journal", "end", "cut short by a crash", (state.frame, state.frame)))
        if report.verdict == "known gaps" and not any(one.level in ("gap", "damage") for one in self._found):
            what = "known gaps: the session says that not all that came was read, or understood"
            self._found.append(Finding("gap", "manifest", "verdict", what))
        if not state.tally.received and not (self.open and self._held):
            report.verdict = "cut short" if report.verdict == "cut short" else "nothing recorded"
            self._found.append(Finding("gap", "journal", "frames", "nothing was recorded"))

    def _tables(self, rows: dict[str, Rows], last: int) -> None:
        sealed = self._manifest.tally.rows if self._manifest else {}
        ended = not (self.open and self._held)
        held = {sink.name: sink.finish(last, ended=ended) for sink in self._sinks}
        for sink in self._sinks:
            self._found += sink.findings()
        for table in dict.fromkeys(
            [*rows, *sealed, *(name for one in held.values() for name, h in one.items() if h.rows)]
        ):
            seen = rows.get(table, Rows()) if self._all_sure else Rows()
            said = sealed.get(table, Rows())
            sinks = {name: tables[table] for name, tables in held.items() if table in tables}
            self.report.tables[table] = Table(said.made or seen.made, said.digest, seen.digest, sinks)

    def _markets(self, state: State) -> None:
        for ticker, market in sorted(state.markets.items()):
            self.report.books[ticker] = Book(
                *(market.snapshots, market.deltas, market.unanchored),
                *(market.lost, market.negative, market.crossed),
            )
        for ticker in concerned(state):
            found = coverage(state, ticker)
            self.report.coverage[ticker] = Covered(
                *(found.whole_seconds, found.gap_seconds, found.spans),
                percent=found.whole_percent or 0.0,
                stale_seconds=found.gap_seconds,
            )
        young = self.open and self._held  # what has not come yet may still come
        for ticker in missing(state):
            level: Level = "note" if young else "gap"
            self._found.append(Finding(level, "journal", ticker, "no book of it ever came"))


def _cut(piece: Piece, manifest: Manifest | None) -> Iterator[tuple[Piece, Segment | None]]:
    lo = piece.lo
    for entry in manifest.segments if manifest else []:
        if lo <= entry.frames[1] <= piece.hi:
            yield piece._replace(lo=lo, hi=entry.frames[1]), entry
            lo = entry.frames[1] + 1
    if lo <= piece.hi:
        yield piece._replace(lo=lo), None


def _tell_kept(lost: Finding, kept: dict[str, dict[str, int]]) -> None:
    """Where a sink still has rows of lost records, it tells which markets those were about."""
    for sink, markets in kept.items():
        if markets:
            some = ", ".join(sorted(markets)[:6]) + (f" and {len(markets) - 6} more" if len(markets) > 6 else "")
            lost.what += f"; {sink} still has {sum(markets.values()):,} rows of them: {some}"
