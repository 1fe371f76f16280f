"""After a crash: sessions whose manifest is still open are cut at their last whole batch and get their last record.

May itself be killed at any point: the next start does it again, with the same result.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.files import SegmentWriter
from kalshi_trio.journal.folder import sessions
from kalshi_trio.journal.index import write_index
from kalshi_trio.journal.reading import _index, _scan
from kalshi_trio.journal.segment import decode, encode
from kalshi_trio.protocol.records import Records


class Recovered(NamedTuple):
    """A session that died: its records are whole again up to `last`, the record that says so."""

    folder: Path
    session: str
    last: int
    """0 if nothing of it had reached the disk."""


def recover(data: Path) -> list[Recovered]:
    """Mends every session of `data` whose manifest is open, oldest first. The data folder must be locked by the caller."""
    found = []
    for folder in sessions(data):
        about = manifests.read(folder)
        if about is not None and about.verdict != "open":
            continue
        found.append(_mend(folder, about.session if about else ""))
    return found


def _mend(folder: Path, session: str) -> Recovered:
    for leftover in folder.glob("*.tmp"):
        leftover.unlink()
    last_run: Records | None = None
    for path in sorted(folder.glob("*.arrows")):
        run = _close(path)
        last_run = run or last_run
    if last_run is None:
        return Recovered(folder, session, 0)
    if last_run.kind == "session" and json.loads(last_run.data[-1]).get("event") in ("recovered", "ended"):
        return Recovered(folder, session, last_run.last)
    return Recovered(folder, session, _append_recovered(folder, last_run))


def _close(path: Path) -> Records | None:
    """Makes the segment a closed one, torn end cut off; returns its last run of records, None if it has none."""
    if _index(path) is None:
        batches = list(_scan(path))
        if not batches:
            path.unlink()
            return None
        _rewrite(path, batches)
    entries = _index(path) or []
    *_, last = _scan(path)
    return decode(last)[-1] if entries else None


def _rewrite(path: Path, batches: list[pa.RecordBatch]) -> None:
    temporary = path.with_suffix(".arrows.tmp")
    metadata = {k.decode(): v.decode() for k, v in (batches[0].schema.metadata or {}).items()}
    writer = SegmentWriter(temporary, metadata)
    for batch in batches:
        writer.append(batch)
    sha256 = writer.end()
    temporary.replace(path)
    write_index(path.with_suffix(".index"), writer.entries, writer.bytes, sha256)


def _append_recovered(folder: Path, last: Records) -> int:
    """The session's last record, in a segment of its own."""
    number = int(max(folder.glob("*.arrows")).stem)
    path = folder / f"{number + 1:06}.arrows"
    event = {"event": "recovered", "verdict": "cut short", "last_frame": last.last, "at_ns": time.time_ns()}
    # Stamped as the record before it: nothing is known of later, and its rows fall on the same day each time.
    record = Records(last.last + 1, "session", 0, last.ts_recv, last.mono_ns, [json.dumps(event).encode()])
    _rewrite(path, [encode([record])])
    return record.last
