"""Foreign recordings become a session: a journal like any other, folded and sealed, with the rows that it makes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial

from kalshi_trio import __version__
from kalshi_trio.fold import Fold
from kalshi_trio.history.survey import Survey, Taken, lines
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.digest import Digests
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.files import LARGE
from kalshi_trio.journal.folder import Name
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.builder import Builder, SegmentEnd
from kalshi_trio.protocol.records import Kind, Records
from kalshi_trio.sealing import Sealer, verdict_of

MOST_A_READ = 500
"""Frames of one stamp that are taken as one read."""


class Importer:
    """Blocking: makes the session `name` of what was surveyed. Until it is whole, nobody sees it among the sessions."""

    def __init__(self, survey: Survey, name: Name, segment_records: int) -> None:
        self._survey, self._name = survey, name
        self._limit = segment_records
        self._hidden = name.folder.with_name(f".{name.folder.name}.tmp")
        shutil.rmtree(self._hidden, ignore_errors=True)
        self._disk = Disk(self._hidden, {"format": "1", "session": name.session, "software": __version__})
        self._fold = Fold(name.session, self._segment_end, save=partial(checkpoints.save, self._hidden))
        manifest = Manifest(name.session, name.folder.name, "import", __version__, "", clock=survey.clock)
        self._sealer = Sealer(self._hidden, manifest)
        self._segment, self._in_segment = 1, 0
        self._waiting: list[tuple[int, Records]] = []
        self._held = 0
        self._last = self._ns = self._mono = 0
        self._open: list[int] = []

    @property
    def manifest(self) -> Manifest:
        """What the session says of itself, once it is sealed."""
        return self._sealer.manifest

    @property
    def last(self) -> int:
        """The last record so far."""
        return self._last

    def steps(self) -> Iterator[int]:
        """How many lines are done, after some thousand each time; when it ends, the session is whole and in its place."""
        self._disk.open()
        checkpoints.save(self._hidden, checkpoints.Checkpoint(1, 1, Builder(self._name.session).dump(), 0))
        survey = self._survey
        self._ns = survey.first_ns
        about = {"event": "started", "session": self._name.session, "source": "import", "software": __version__}
        self._own("session", 0, **about, markets=list(survey.markets), settings=survey.about())
        last_begin = max(survey.first.values())
        run, frames = 0, list[bytes]()
        for number, taken in enumerate(lines(None, survey.files)):
            ns = self._stamp(taken)
            if frames and (taken.run != run or ns != self._ns or len(frames) == MOST_A_READ or not taken.frame):
                self._add("frame", run, frames)
                frames = []
            run, self._ns = taken.run, ns
            if survey.first[run] == number:
                self._open.append(run)
                self._own("connection", run, event="open")
            if taken.frame:
                frames.append(taken.frame)
            if survey.last[run] == number < last_begin:
                self._close(run, frames)
                frames = []
            if number % 5_000 == 0:
                yield number
        self._finish(run, frames)

    def abandon(self) -> None:
        """Nothing of it is kept."""
        shutil.rmtree(self._hidden, ignore_errors=True)

    def _stamp(self, taken: Taken) -> int:
        """When the line came; where that is the exchange's word, it never goes back."""
        ns = taken.ns or self._ns
        return max(ns, self._ns) if self._survey.timeless else ns

    def _close(self, run: int, frames: list[bytes]) -> None:
        """A connection after which others began."""
        if frames:
            self._add("frame", run, frames)
        self._open.remove(run)
        self._own("connection", run, event="closed", why="as recorded", cause="reconnect")

    def _finish(self, run: int, frames: list[bytes]) -> None:
        if frames:
            self._add("frame", run, frames)
        for number in self._open:
            self._own("connection", number, event="closed", why="the recording ends", final=True)
        self._flush()
        state = self._fold.builder.state
        verdict = verdict_of(state)
        self._own("session", 0, event="ended", reason="the recording ends", verdict=verdict)
        self._flush()
        self._disk.end()
        self._fold.end()
        self._sealer.begun(state)
        self._sealer.finish(state, verdict, self._disk.closed, {})
        self._hidden.replace(self._name.folder)

    def _own(self, kind: Kind, connection: int, **event: object) -> None:
        self._add(kind, connection, [json.dumps(event).encode()])

    def _add(self, kind: Kind, connection: int, data: list[bytes]) -> None:
        if self._in_segment >= self._limit:
            self._flush()
            self._segment, self._in_segment = self._segment + 1, 0
        self._mono = max(self._mono, self._ns)
        records = Records(self._last + 1, kind, connection, self._ns, self._mono, data)
        self._last = records.last
        self._waiting.append((self._segment, records))
        self._held += len(data)
        self._in_segment += len(data)
        if self._held >= LARGE:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._disk.write(self._waiting)
            self._fold.feed(Frames(self._segment, [records for _, records in self._waiting]))
        self._waiting, self._held = [], 0

    def _segment_end(self, end: SegmentEnd, rows: Digests) -> None:
        self._sealer.segment(end, rows, more=end.last < self._last)
