"""The files of a session's folder, byte by byte against the manifest's and their own hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from kalshi_trio import session_readme
from kalshi_trio.errors import JournalDamaged
from kalshi_trio.history.verify.findings import Finding
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.manifest import Manifest, Segment
from kalshi_trio.journal.names import segment_of


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
    """Checkpoints and a README.md that are damaged, segments that no manifest knows, and what a crash left."""
    for path in sorted(folder.glob("*.checkpoint")):
        if not checkpoints.whole(path):
            what = "not what was written; a missing checkpoint costs time, not rows"
            yield Finding("damage", "journal", path.name, what)
    if manifest is not None and manifest.verdict != "open":
        known = {number_of(entry) for entry in manifest.segments}
        for path in sorted(folder.glob("*.arrows")):
            if segment_of(path) not in known:
                yield Finding("damage", "journal", path.name, "a segment that the manifest does not know")
    readme = folder / "README.md"
    if readme.exists() and not session_readme.intact(readme):
        yield Finding("damage", "manifest", readme.name, "not what was written; no row depends on it")
    for path in sorted(folder.glob("*.tmp")):
        yield Finding("note", "journal", path.name, "left by a process that was killed; the next start removes it")


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
