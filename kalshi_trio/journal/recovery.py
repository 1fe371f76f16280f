"""After a crash: sessions whose manifest is still open are cut at their last whole batch and get their last record.

May itself be killed at any point: the next start does it again, with the same result.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from kalshi_trio.errors import JournalError
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.batches import NEVER, Damage, closed_index, first_frame
from kalshi_trio.journal.disk import end_segment, rewrite
from kalshi_trio.journal.files import SegmentWriter
from kalshi_trio.journal.folder import sessions
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.names import part_path, parts_of, segment_of
from kalshi_trio.journal.reading import newest_frame, read_session
from kalshi_trio.journal.segment import encode
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.records import Records

log = get_logger(__name__)


class Recovered(NamedTuple):
    """A session that died: its records are whole again up to `last`, the record that says so."""

    folder: Path
    session: str
    last: int
    """0 if nothing of it had reached the disk, or if that does not give it back now."""
    ended: bool = False
    """Its records are all there, and the last one says that it ended: only its seal is missing."""
    durable: tuple[int, int] = (0, 0)
    """The last record that its recorder wrote, and when the last one that can be read was received (ns, UTC)."""


def recover(data: Path) -> list[Recovered]:
    """Mends every session of `data` whose manifest is open, oldest first. The data folder must be locked by the caller.

    One whose disk refuses stays as it is, which the log says, for the next start.
    """
    found = []
    for folder in sessions(data):
        about = manifests.read(folder)
        if about is not None and about.verdict != "open":
            continue
        try:
            found.append(_mend(folder, about))
        except (OSError, JournalError) as error:
            log.error("%s cannot be mended now, the next start tries again: %s", folder.name, error)  # noqa: TRY400  the text says it all
            found.append(Recovered(folder, about.session if about else "", 0))
    return found


def _mend(folder: Path, about: Manifest | None) -> Recovered:
    for leftover in folder.glob("*.tmp"):
        leftover.unlink()
    sealed = {one.file for one in about.segments if one.state == "sealed"} if about else set()
    for segment in sorted({segment_of(path) for path in folder.glob("*.arrows")}):
        if f"{segment:06}.arrows" not in sealed:
            _close(folder, segment)
    last_run = _last_run(folder)
    session = about.session if about else _session_of(folder)
    if last_run is None:
        if about is not None:
            about.verdict, about.ended = "cut short", about.started
            manifests.seal(folder, about)
        return Recovered(folder, session, 0)
    last = max(last_run.last, newest_frame(folder))  # damaged ones behind the last to be read keep their numbers
    checkpoints.drop_beyond(folder, last + 1)  # of records that never reached the disk
    said = json.loads(last_run.data[-1]) if last_run.kind == "session" else {}
    if said.get("event") == "ended":
        return Recovered(folder, session, last_run.last, ended=True)
    if said.get("event") == "recovered":
        return Recovered(folder, session, last_run.last, durable=(last_run.last - 1, last_run.ts_recv))
    appended = _append_recovered(folder, last_run, last)
    return Recovered(folder, session, appended, durable=(last, last_run.ts_recv))


def _close(folder: Path, segment: int) -> None:
    """Makes an open segment a closed one: torn end cut off, its parts put together where they overlap."""
    parts = parts_of(folder, segment)
    if len(parts) == 1 and closed_index(parts[0]) is not None:
        return
    metadata = _metadata(parts[0])
    if metadata is None:  # nothing whole was ever in it
        for path in parts:
            path.unlink()
        return
    whole, before = part_path(folder, segment, 1), sum(path.stat().st_size for path in parts)
    closed = rewrite(whole, metadata)
    log.info("Segment %s: records %d-%d kept (%d bytes before)", whole, closed.first, closed.last, before)


def _metadata(path: Path) -> dict[str, str] | None:
    """The schema's metadata, None where there is no whole batch."""
    if first_frame(path) == NEVER:
        return None
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return {key.decode(): value.decode() for key, value in (reader.schema.metadata or {}).items()}


def _session_of(folder: Path) -> str:
    """The session's id as its segments have it, "" if they do not."""
    for path in sorted(folder.glob("*.arrows")):
        return (_metadata(path) or {}).get("session", "")
    return ""


def _last_run(folder: Path) -> Records | None:
    """The last records of all that can be read; None if there are none."""
    run = None
    for path in sorted(folder.glob("*.arrows"), reverse=True):
        for frames in read_session(folder, first_frame(path) - 1, damage=_said):
            run = frames.records[-1]
        if run is not None:
            break
    return run


def _said(damage: Damage) -> None:
    log.error("%s: records %d-%d: %s", *damage)


def _append_recovered(folder: Path, last_run: Records, last: int) -> int:
    """The session's last record, behind record `last`, in a segment of its own."""
    segment = segment_of(max(folder.glob("*.arrows")))
    metadata = _metadata(part_path(folder, segment, 1)) or {}
    event = {"event": "recovered", "verdict": "cut short", "last_frame": last, "at_ns": time.time_ns()}
    # Stamped as the record before it: nothing is known of later, and its rows fall on the same day each time.
    record = Records(last + 1, "session", 0, last_run.ts_recv, last_run.mono_ns, [json.dumps(event).encode()])
    path = part_path(folder, segment + 1, 1)
    writer = SegmentWriter(path.with_suffix(".arrows.tmp"), metadata)
    writer.append(encode([record]))
    end_segment(writer, path)
    return record.last
