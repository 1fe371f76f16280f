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
from kalshi_trio.protocol.state import State
from kalshi_trio.session_readme import write_readme

log = get_logger(__name__)


def time_text(ns: int) -> str:
    """RFC 3339 with nanoseconds."""
    second, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.datetime.fromtimestamp(second, datetime.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


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
    manifest.coverage = {ticker: coverage(state, ticker) for ticker in sorted({*state.wanted, *state.markets})}
    manifest.fields = state.census.counts()


def coverage(state: State, ticker: str) -> Coverage:
    """When a market's book was whole and in sequence, so far.

    Never more than the session: where its clock was set back, what that showed twice counts once.
    """
    market = state.markets.get(ticker)
    told = list(market.spans) if market else []
    if market and market.valid:
        told.append((market.valid_since, state.last_ns))
    spans, at = [], state.started_ns
    for since, until in told:
        start, end = max(since, at), min(until, state.last_ns)
        if start <= end:
            spans.append((start, end))
            at = end
    valid = sum(end - start for start, end in spans)
    whole = max(state.last_ns - state.started_ns, 0)
    return Coverage(whole / 1e9, valid / 1e9, [(time_text(start), time_text(end)) for start, end in spans])


def verdict_of(state: State) -> Verdict:
    """Of a session that ended by itself."""
    return "known holes" if state.gaps_opened else "complete"


def settings_of(state: State) -> dict[str, object]:
    """The settings that the session's first record has."""
    found = msgspec.json.decode(state.settings)
    return found if isinstance(found, dict) else {}
