"""The batches of one segment file: by its index where that fits, else by the tags that each of them carries.

Either way a batch is checked before it is decoded, so damage is never taken for truth. Only a session of format 1 has no
tags: without a fitting index its segments are believed if the whole file has the SHA-256 that the manifest names, or,
for want of anything better, while they are open.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import pyarrow as pa

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.files import open_regular
from kalshi_trio.journal.index import Index, read_index
from kalshi_trio.journal.scanning import Scan, first_of, plain_scan, scan
from kalshi_trio.journal.segment import Entry, Missing, stream_head
from kalshi_trio.journal.tags import FORMAT, salt_of


class Damage(NamedTuple):
    """A batch that is not what was written; `named`: recovery has left it out and said so in the file."""

    file: str
    first: int
    last: int
    why: str
    named: bool = False


Report = Callable[[Damage], None]
NEVER = 1 << 63
"""Behind every record."""


def raise_damage(damage: Damage) -> None:
    """The report of whoever did not ask for one: JournalDamaged."""
    raise JournalDamaged(f"{damage.file}: records {damage.first}-{damage.last}: {damage.why}")


def first_frame(path: Path) -> int:
    """The first record of a segment file, NEVER if it has none. FileNotFoundError if it is gone."""
    with open_regular(path) as file:
        index = _fitting(path, file)
        if index is not None:
            return index.first
        about = manifests.read(path.parent)
        if _has_tags(about):
            return first_of(file, _salt(about)) or NEVER
        return next((entry.first_frame for entry in plain_scan(file)), NEVER)


def last_of_file(path: Path) -> int:
    """The last record of a segment file, also if it is missing; 0 if it has none. It may be written at the same time."""
    with open_regular(path) as file:
        contents = _contents(path, file)
    return max([0, *(one.last_frame for one in contents.entries), *(one.last for one in contents.missing)])


def closed_index(path: Path) -> Index | None:
    """The index of a closed segment if it speaks of this very file."""
    index = _index(path)
    return index if index and index.bytes == path.stat().st_size else None


def batches(
    path: Path, after: int, through: int, report: Report, fields: Sequence[int] = ()
) -> Iterator[pa.RecordBatch]:
    """Whole batches with records behind `after` and up to `through`; of their columns only `fields`, unless empty.

    FileNotFoundError if the file is gone.
    """
    options = pa.ipc.IpcReadOptions(included_fields=list(fields) or None, use_threads=False)
    with open_regular(path) as file:
        contents = _contents(path, file)
        for entry in contents.in_order:
            if isinstance(entry, Missing):
                if entry.last > after and entry.first <= through:
                    report(Damage(path.name, max(entry.first, after + 1), entry.last, entry.why, contents.named))
            elif entry.last_frame > after and entry.first_frame <= through:
                batch = _load(path, file, entry, options, checked=contents.checked)
                if isinstance(batch, Damage):
                    report(batch)
                else:
                    yield batch


def tagged(path: Path) -> bool:
    """Whether the batches of a segment file carry tags: the manifest says so, or nobody does and it must be so."""
    return _has_tags(manifests.read(path.parent))


def _has_tags(about: manifests.Manifest | None) -> bool:
    return about is None or about.format >= FORMAT


def _salt(about: manifests.Manifest | None) -> int | None:
    return salt_of(about.session) if about else None


def scan_file(path: Path) -> Scan:
    """What is in a file whose batches carry tags, by these. FileNotFoundError if it is gone."""
    with open_regular(path) as file:
        return scan(file, _salt(manifests.read(path.parent)))


def about_segment(path: Path) -> dict[str, str]:
    """The metadata that stands in a file's head, empty where that is not whole or has no checksum."""
    with open_regular(path) as file:
        index = _fitting(path, file)
        if index is not None and index.entries and not index.entries[0].offset:
            head: Entry | None = index.entries[0]  # of format 1: the first batch has the head in it
        elif tagged(path):
            head = scan(file, _salt(manifests.read(path.parent)), head_only=True).head
        else:
            return {}
        return _metadata(file, head) if head else {}


def _metadata(file: BufferedReader, head: Entry) -> dict[str, str]:
    file.seek(head.offset)
    data = file.read(head.length)
    if google_crc32c.value(data) != head.crc32c:
        return {}
    metadata = pa.ipc.open_stream(pa.BufferReader(data)).schema.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}


class _Contents(NamedTuple):
    """What a file has and what it lacks; `checked`: its entries have a checksum, `named`: it says so itself."""

    entries: list[Entry]
    missing: Sequence[Missing]
    checked: bool = True
    named: bool = False

    @property
    def in_order(self) -> list[Entry | Missing]:
        """Both, by their records."""
        both: list[Entry | Missing] = [*self.entries, *self.missing]
        return sorted(both, key=lambda one: one.first if isinstance(one, Missing) else one.first_frame)


def _contents(path: Path, file: BufferedReader) -> _Contents:
    index = _fitting(path, file)
    if index is not None:
        return _Contents(index.entries, index.missing, named=True)
    about = manifests.read(path.parent)
    sealed = _sealed(about, path)
    index = _index(path)
    if sealed is not None and index is not None and index.sha256 == sealed.sha256:
        return _Contents(index.entries, index.missing, named=True)  # of this file, before it was cut
    if _has_tags(about):
        return _by_tags(scan(file, _salt(about)), file, sealed)
    if sealed is None or _sha256(file) == sealed.sha256:
        return _Contents(plain_scan(file), [], checked=False)
    why = "the segment differs from its seal, and its index is lost"
    return _Contents([], [Missing(*sealed.frames, why)])


def _by_tags(found: Scan, file: BufferedReader, sealed: manifests.Segment | None) -> _Contents:
    said = _metadata(file, found.head).get("missing") if found.head else None
    missing = [Missing(*one) for one in json.loads(said)] if said else []
    known = [(one.first, one.last) for one in missing]
    missing += [Missing(*one, "checksum differs") for one in found.lost if tuple(one) not in known]
    if sealed is not None:
        first, last = sealed.frames
        if not found.entries:
            missing = [Missing(first, last, "nothing whole is left of it")]
        else:
            missing += [Missing(first, found.first - 1, _CUT)] if first < found.first else []
            missing += [Missing(found.last + 1, last, _CUT)] if last > found.last else []
    return _Contents(found.entries, missing, named=bool(said))


_CUT = "the segment is shorter than it was sealed"


def _fitting(path: Path, file: BufferedReader) -> Index | None:
    """The index, if it speaks of the file that is open (it may be rewritten at this moment)."""
    index = _index(path)
    return index if index and index.bytes == os.fstat(file.fileno()).st_size else None


def _index(path: Path) -> Index | None:
    try:
        return read_index(path.with_suffix(".index"))
    except JournalDamaged:
        return None


def _sealed(about: manifests.Manifest | None, path: Path) -> manifests.Segment | None:
    """What the manifest says of a segment file, None while it is open."""
    found = (one for one in about.segments if one.file == path.name) if about else iter(())
    return next((one for one in found if one.state == "sealed"), None)


def _load(
    path: Path, file: BufferedReader, entry: Entry, options: pa.ipc.IpcReadOptions, *, checked: bool
) -> pa.RecordBatch | Damage:
    file.seek(entry.offset)
    data = file.read(entry.length)
    if checked and google_crc32c.value(data) != entry.crc32c:
        return Damage(path.name, entry.first_frame, entry.last_frame, "checksum differs")
    head = stream_head() if entry.offset else b""  # of format 1: the first batch has its own
    try:
        return pa.ipc.open_stream(pa.BufferReader(head + data), options=options).read_next_batch()
    except (pa.ArrowException, OSError, StopIteration) as error:
        return Damage(path.name, entry.first_frame, entry.last_frame, f"cannot be read: {error}")


def _sha256(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
