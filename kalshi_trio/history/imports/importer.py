"""Foreign recordings become a session: a journal like any other, folded and sealed, with the rows that it makes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from kalshi_trio import __version__
from kalshi_trio.errors import UsageError
from kalshi_trio.fold import Fold
from kalshi_trio.history.imports.survey import STEP, Reading, Survey
from kalshi_trio.history.imports.taking import Taken
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.digest import Digests
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.files import LARGE, sync_folder
from kalshi_trio.journal.folder import Name
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.builder import Builder, SegmentEnd
from kalshi_trio.protocol.records import Kind, Records
from kalshi_trio.sealing import Sealer, verdict_of

MOST_A_READ = 500
"""Frames of one stamp that are taken as one read."""
HELD_BYTES = 16 << 20
"""So much waits at most, beside one frame, before it goes to disk."""
MINUTE_NS = 60_000_000_000


class Importer:
    """Blocking: makes the session `name` of what was surveyed. Until it is whole, nobody sees it among the sessions."""

    def __init__(self, survey: Survey, name: Name, segment_records: int, stored: Mapping[str, object]) -> None:
        """`stored`: the settings that say where its rows will be."""
        self._survey, self._name = survey, name
        self._limit = segment_records
        self._hidden = name.folder.with_name(f".{name.folder.name}.tmp")
        self._disk = Disk(self._hidden, {"format": "1", "session": name.session, "software": __version__})
        self._fold = Fold(name.session, self._segment_end, save=partial(checkpoints.save, self._hidden))
        manifest = Manifest(name.session, name.folder.name, "import", __version__, "", clock=survey.clock)
        self._sealer = Sealer(self._hidden, manifest, stored)
        self._segment, self._in_segment = 1, 0
        self._waiting: list[tuple[int, Records]] = []
        self._held = self._held_bytes = 0
        self._last = self._ns = self._mono = 0
        self._run = 0
        self._frames: list[bytes] = []
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
        """How many bytes are read, after some thousand lines each time; when it ends, the session is whole, in its place.

        Raises UsageError where a file is another than the one that was looked at, JournalUnwritable.
        """
        remove_unfinished(self._hidden.parent)
        self._disk.open()
        checkpoints.save(self._hidden, checkpoints.Checkpoint(1, 1, Builder(self._name.session).dump(), 0))
        survey = self._survey
        self._ns = survey.first_ns
        about = {"event": "started", "session": self._name.session, "source": "import", "software": __version__}
        self._own("session", 0, **about, markets=survey.wanted, settings=survey.about(), **survey.inherited)
        reading = Reading(survey, Survey([]))
        last_begin = survey.last_begin
        for number, taken in enumerate(reading):
            self._take(number, taken, last_begin)
            if number % STEP == 0:
                yield reading.done
        if changed := [one.path.name for one in survey.sources if one.changed()]:
            raise UsageError(f"{', '.join(changed)} was written to while it was read: import it when it is whole.")
        self._finish()

    def abandon(self) -> None:
        """Nothing of it is kept, unless it is whole."""
        shutil.rmtree(self._hidden, ignore_errors=True)

    def _take(self, number: int, taken: Taken, last_begin: int) -> None:
        run, ns = taken.run, self._stamp(taken)
        if run != self._run or ns != self._ns or len(self._frames) == MOST_A_READ or taken.frame is None:
            self._put()
        self._run, self._ns = run, ns
        if not run:
            return
        seen = self._survey.runs.get(run)
        if seen is None:
            raise UsageError("The files changed while they were read: import them when they are whole.")
        if seen.first == number:
            self._open.append(run)
            self._own("connection", run, event="open")
        if taken.frame is not None:
            self._frames.append(taken.frame)
        if taken.closed is not None:
            self._close(run, {"cause": "reconnect", "final": number > last_begin, **taken.closed})
        elif seen.last == number < last_begin:
            self._close(run, {"cause": "reconnect", "reason": "as recorded"})

    def _stamp(self, taken: Taken) -> int:
        """When the line came. Channels are not told in the order of the exchange's times: those never go back a little."""
        ns = taken.ns or self._ns
        return self._ns if taken.derived and 0 < self._ns - ns < MINUTE_NS else ns

    def _put(self) -> None:
        """The frames of one read are complete."""
        if self._frames:
            self._add("frame", self._run, self._frames)
            self._frames = []

    def _close(self, run: int, why: dict[str, object]) -> None:
        """A connection that ended."""
        self._put()
        self._open.remove(run)
        self._own("connection", run, event="closed", **why)

    def _finish(self) -> None:
        self._put()
        for run in list(self._open):
            self._close(run, {"reason": "the recording ends", "final": True})
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
        sync_folder(self._name.folder.parent)

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
        self._in_segment += len(data)
        self._held += len(data)
        self._held_bytes += sum(map(len, data))
        if self._held >= LARGE or self._held_bytes >= HELD_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._disk.write(self._waiting)
            self._fold.feed(Frames(self._segment, [records for _, records in self._waiting]))
        self._waiting, self._held, self._held_bytes = [], 0, 0

    def _segment_end(self, end: SegmentEnd, rows: Digests) -> None:
        self._sealer.segment(end, rows, more=end.last < self._last)


def remove_unfinished(sessions: Path) -> None:
    """What an import that was killed left behind; whoever calls holds the data folder."""
    for path in sessions.glob(".SESSION_*.tmp"):
        shutil.rmtree(path, ignore_errors=True)
