"""What a session says of itself in the end: manifest, digests, coverage; and the same for sessions that died."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.digest import Digests, session_digest
from kalshi_trio.journal.disk import rewrite
from kalshi_trio.journal.manifest import Coverage, Manifest, Rows, Segment, TallyReport, Verdict
from kalshi_trio.journal.segment import Closed
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.builder import SegmentEnd
from kalshi_trio.protocol.coverage import GAP, WHOLE, covered, missing
from kalshi_trio.protocol.state import State
from kalshi_trio.session_readme import write_readme

log = get_logger(__name__)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def time_text(ns: int) -> str:
    """RFC 3339 with nanoseconds."""
    second, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.datetime.fromtimestamp(second, datetime.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def ns_of(text: str) -> int:
    """Nanoseconds since 1970 of such a text."""
    second, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.datetime.fromisoformat(second).replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(seconds=1) * 1_000_000_000 + int(fraction.ljust(9, "0"))


class Sealer:
    """Keeps one session's manifest. All calls block (files); one of `closed` may run beside one of `segment`."""

    def __init__(self, folder: Path, manifest: Manifest, stored: Mapping[str, object] | None = None) -> None:
        """`stored`: the settings that say where its rows go; the manifest's own unless given."""
        self.folder = folder
        self.manifest = manifest
        self._stored = stored
        self._reports: dict[tuple[int, int], tuple[dict[str, int], Digests]] = {}
        """Of segments that are not entered yet: what was in them, by their first and last record."""
        self._digests: dict[str, list[str]] = {}
        self._made: dict[str, int] = {}

    def begun(self, state: State) -> None:
        """What the session's first record says of it."""
        introduce(self.manifest, state)

    def segment(self, end: SegmentEnd, rows: Digests, *, more: bool) -> None:
        """The builder has been through a segment: what was made of it, and, if more follow, the next one's checkpoint."""
        if more:
            checkpoints.save(self.folder, Checkpoint(end.segment + 1, end.last + 1, end.checkpoint, end.latest_ns))
        self._reports[end.first, end.last] = (end.by_type, rows)
        for table, (made, digest) in rows.items():
            self._made[table] = self._made.get(table, 0) + made
            self._digests.setdefault(table, []).append(digest)

    def closed(self, file: Closed, metadata: dict[str, str]) -> None:
        """A segment's file gets no more records: it is put into large batches, and the manifest written."""
        self._enter(rewrite(self.folder / file.file, metadata))
        manifests.write(self.folder / "manifest.json", self.manifest)

    def _enter(self, file: Closed) -> None:
        by_type, rows = self._reports.pop((file.first, file.last), ({}, {}))
        entry = Segment(
            file.file,
            (file.first, file.last),
            file.bytes,
            file.sha256,
            by_type,
            {table: Rows(made, digest) for table, (made, digest) in rows.items()},
            "sealed",
        )
        others = [segment for segment in self.manifest.segments if segment.file != file.file]
        self.manifest.segments = sorted([*others, entry], key=lambda segment: segment.file)

    def finish(
        self,
        state: State,
        verdict: Verdict,
        files: list[Closed],
        lateness: dict[str, dict[str, float]],
        counted: tuple[int, int] | None = None,
    ) -> None:
        """Seals the manifest and describes the folder. `files` are those not entered yet, sealed as they stand.

        `counted`: data frames as the feed and the journal counted them; of a session that is read back nobody has but
        the builder.
        """
        for file in files:
            if all(segment.file != file.file for segment in self.manifest.segments):
                self._enter(file)
        rows = {table: Rows(made, session_digest(self._digests[table])) for table, made in sorted(self._made.items())}
        conclude(self.manifest, state, verdict, rows, counted)
        self.manifest.lateness_ms = lateness
        manifests.seal(self.folder, self.manifest)
        self._describe()

    def _describe(self) -> None:
        """README.md; the session is sealed without it."""
        try:
            write_readme(self.folder, self.manifest, self.manifest.settings if self._stored is None else self._stored)
        except OSError as error:
            log.warning("No README.md in %s: %s", self.folder, error)


def introduce(manifest: Manifest, state: State) -> None:
    """What the session's first record says of it, into its manifest."""
    manifest.started, manifest.settings = time_text(state.started_ns), settings_of(state)
    manifest.source, manifest.software, manifest.markets = state.source, state.software, state.wanted


def conclude(
    manifest: Manifest,
    state: State,
    verdict: Verdict,
    rows: dict[str, Rows],
    counted: tuple[int, int] | None = None,
) -> None:
    """What all of its records come to, into its manifest; `rows` of the whole session, `counted` as in `finish`."""
    tally = state.tally
    manifest.started, manifest.ended = time_text(state.started_ns), time_text(state.last_ns)
    manifest.verdict = verdict
    manifest.tally = TallyReport(
        *(counted or (tally.received, tally.received)),
        *(tally.decoded, tally.control, tally.unknown, tally.refused),
        tally.by_type,
        rows,
        dict(sorted(state.audits.items())),
    )
    manifest.gaps = {"opened": state.gaps_opened, "healed": state.gaps_healed}
    manifest.missing = missing(state)
    manifest.coverage = {ticker: coverage(state, ticker) for ticker in concerned(state)}
    manifest.fields = state.census.counts()


def coverage(state: State, ticker: str) -> Coverage:
    """What a market's book was, so far, from when to when."""
    found = covered(state, ticker)
    spans = [(time_text(start), time_text(end), what, *([cause] if cause else [])) for start, end, what, cause in found]
    seconds = {what: sum(span.end - span.start for span in found if span.what == what) / 1e9 for what in (WHOLE, GAP)}
    return Coverage(seconds[WHOLE], seconds[GAP], spans)


def concerned(state: State) -> list[str]:
    """The markets that have coverage: those that were wanted, or, where the record that says so is lost, all."""
    return sorted(state.wanted if state.begun else {*state.wanted, *state.markets})


def verdict_of(state: State, *counted: int) -> Verdict:
    """Of a session that ended by itself. `counted`: its data frames as others counted them.

    `complete` is what nothing speaks against: something was understood, no gap, nothing refused, a book of every wanted
    market, a tally that balances.
    """
    tally = state.tally
    if not tally.received:
        return "nothing recorded"
    found = tally.decoded + tally.control + tally.unknown + tally.refused
    balanced = {tally.received, *counted} == {found}
    whole = tally.decoded and not (state.gaps_opened or tally.refused or _lines_refused(state) or missing(state))
    return "complete" if whole and balanced else "known gaps"


def _lines_refused(state: State) -> bool:
    """Whether an import could not read some of its lines."""
    refused = settings_of(state).get("refused") if state.source == "import" else None
    return isinstance(refused, dict) and bool(refused.get("count"))


def settings_of(state: State) -> dict[str, object]:
    """The settings that the session's first record has."""
    found = msgspec.json.decode(state.settings)
    return found if isinstance(found, dict) else {}
