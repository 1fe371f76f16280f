"""The files of a session's folder, byte by byte against the manifest's and their own hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from kalshi_trio import session_readme
from kalshi_trio.errors import JournalDamaged
from kalshi_trio.history.verify.findings import Finding, Level
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.batches import closed_index, scan_file, tagged
from kalshi_trio.journal.files import open_regular
from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.manifest import Manifest, Segment
from kalshi_trio.journal.names import DAMAGED, segment_files, segment_of, strangers
from kalshi_trio.journal.tags import FORMAT


def number_of(entry: Segment) -> int:
    """The number of the segment that an entry of the manifest is about; 0 where its file's name is none."""
    try:
        return segment_of(Path(entry.file))
    except ValueError:
        return 0


def sealed_segments(folder: Path, manifest: Manifest, retired: list[int]) -> Iterator[Finding | None]:
    """One step a segment that the manifest has sealed: what is wrong with its files."""
    for entry in manifest.segments:
        if entry.state == "sealed" and number_of(entry) not in retired:
            yield from _segment(folder / entry.file, entry)
        yield None


def others(folder: Path, manifest: Manifest | None) -> Iterator[Finding]:
    """Checkpoints and a README.md that are damaged, segments that are open, or known to no manifest, or are none."""
    older = manifest is not None and manifest.format < FORMAT
    for path in sorted(folder.glob("*.checkpoint")):
        if not (checkpoints.whole(path) or (older and checkpoints.whole(path, older=True))):
            what = "not what was written; a missing checkpoint costs time, not rows"
            yield Finding("damage", "journal", path.name, what)
    if manifest is not None and manifest.verdict != "open":
        known = {number_of(entry) for entry in manifest.segments}
        for path in segment_files(folder):
            if segment_of(path) not in known:
                yield Finding("damage", "journal", path.name, "a segment that the manifest does not know")
    else:
        for path in segment_files(folder):
            yield from _open_segment(path)
    for path in strangers(folder):
        yield Finding("note", "journal", path.name, "called like a segment, and none: it is left alone")
    for path in sorted(folder.glob(f"*{DAMAGED}")):
        yield Finding("note", "journal", path.name, "as recovery found it, with bytes that are not what was written")
    yield from _readme(folder / "README.md")
    for path in sorted(folder.glob("*.tmp")):
        yield Finding("note", "journal", path.name, "left by a process that was killed; the next start removes it")


def _readme(path: Path) -> Iterator[Finding]:
    try:
        intact = not path.exists() or session_readme.intact(path)
    except OSError:
        intact = False
    if not intact:
        yield Finding("damage", "manifest", path.name, "not what was written; no row depends on it")


def _open_segment(path: Path) -> Iterator[Finding]:
    """What its own tags say against it, records apart: those that are lost the journal's walk names."""
    try:
        if closed_index(path) is not None:
            return
        if not tagged(path):
            what = "an older version recorded it: its batches have no checksums and are read as they stand"
            yield Finding("note", "journal", path.name, what)
            return
        found = scan_file(path)
        if found.tail and not found.torn:
            found = scan_file(path)  # it may have been written just then
    except OSError as error:
        yield Finding("damage", "journal", path.name, f"cannot be read: {error.strerror}")
        return
    for start, end in found.bad:
        yield Finding("damage", "journal", path.name, f"bytes {start}-{end - 1} are not what was written")
    if found.tail:
        what = f"behind its last whole batch {found.tail.end - found.tail.start} bytes are torn"
        level: Level = "note" if found.torn else "damage"
        yield Finding(level, "journal", path.name, what if found.torn else f"{what}, or damaged")


def _segment(path: Path, entry: Segment) -> Iterator[Finding]:
    if not path.is_file():
        yield Finding("damage", "journal", entry.file, "the segment is gone", entry.frames)
        return
    with open_regular(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if path.stat().st_size != entry.bytes:
        what = f"{path.stat().st_size} bytes instead of the {entry.bytes} that were sealed"
        yield Finding("damage", "journal", entry.file, what, entry.frames)
    elif sha256 != entry.sha256:
        yield Finding("damage", "journal", entry.file, "SHA-256 differs from the seal", entry.frames)
    index = path.with_suffix(".index")
    try:
        found = read_index(index)
    except JournalDamaged as error:
        yield Finding("damage", "journal", index.name, str(error).partition(": ")[2] + _NOT_LOST, entry.frames)
        return
    if found is None:
        yield Finding("note", "journal", index.name, "no index: reading walks through the whole segment", entry.frames)
    elif (found.bytes, found.sha256) != (entry.bytes, entry.sha256):
        yield Finding("damage", "journal", index.name, "speaks of another segment than was sealed", entry.frames)


_NOT_LOST = "; where the segment fits its seal no record is lost by it"
