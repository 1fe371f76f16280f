"""`NNNNNN.index`: a row a batch of a closed segment, so that damage costs one batch and reading can begin anywhere."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import pyarrow as pa

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal.files import refusals, sync_folder
from kalshi_trio.journal.segment import Entry
from kalshi_trio.own_hash import PLACEHOLDER, fits, with_own_hash

SCHEMA = pa.schema(
    [
        pa.field("offset", pa.uint64(), nullable=False),
        pa.field("length", pa.uint64(), nullable=False),
        pa.field("crc32c", pa.uint32(), nullable=False),
        pa.field("first_frame", pa.uint64(), nullable=False),
        pa.field("last_frame", pa.uint64(), nullable=False),
    ]
)

OWN = "own_sha256"
"""The metadata's name for the hash of the index itself."""


class Index(NamedTuple):
    """The batches of a closed segment, and the whole file's length and SHA-256."""

    entries: list[Entry]
    bytes: int
    sha256: str


def write_index(path: Path, entries: list[Entry], nbytes: int, sha256: str) -> None:
    """Puts the index of a closed segment, whole or not at all; JournalUnwritable where the disk refuses."""
    columns = [
        pa.array(list(values), field.type) for values, field in zip(zip(*entries, strict=True), SCHEMA, strict=True)
    ]
    about = {"bytes": str(nbytes), "sha256": sha256, "rows": _checksum(entries), OWN: PLACEHOLDER}
    schema = SCHEMA.with_metadata(about)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    temporary = path.with_suffix(".index.tmp")
    with refusals(path):
        with temporary.open("wb") as file:
            file.write(with_own_hash(sink.getvalue().to_pybytes()))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)


def intact(path: Path) -> bool:
    """Whether an index is what was written, to the last byte: more than `read_index` asks before it believes the rows."""
    try:
        with path.open("rb") as file, pa.ipc.open_file(file) as reader:
            claimed = (reader.schema.metadata or {}).get(OWN.encode(), b"")
            return fits(file, claimed.decode(), path.stat().st_size)
    except (pa.ArrowException, OSError, ValueError):
        return False


def read_index(path: Path) -> Index | None:
    """The index of a segment; None without one. JournalDamaged if it is not what was written, as far as it shows.

    Arrow has no checksum, so the rows have one in the metadata, where we wrote it, and must follow one another.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        with pa.ipc.open_file(pa.BufferReader(data)) as reader:
            if not reader.schema.equals(SCHEMA):
                raise JournalDamaged(f"{path}: not the columns of an index")
            metadata = reader.schema.metadata or {}
            rows = reader.read_all().to_pydict()
        index = Index(
            [Entry(*values) for values in zip(*rows.values(), strict=True)],
            int(metadata[b"bytes"]),
            metadata[b"sha256"].decode(),
        )
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise JournalDamaged(f"{path}: {error}") from error
    if metadata.get(b"rows", _checksum(index.entries).encode()) != _checksum(index.entries).encode():
        raise JournalDamaged(f"{path}: checksum differs")
    if not _plausible(index.entries, index.bytes):
        raise JournalDamaged(f"{path}: its batches do not follow one another")
    return index


def _checksum(entries: list[Entry]) -> str:
    return str(google_crc32c.value(repr([tuple(entry) for entry in entries]).encode()))


def _plausible(entries: list[Entry], nbytes: int) -> bool:
    if not entries or any(None in entry for entry in entries):
        return False
    if entries[0].offset or entries[-1].offset + entries[-1].length > nbytes:
        return False
    return all(entry.first_frame <= entry.last_frame for entry in entries) and all(
        after.offset == before.offset + before.length and after.first_frame == before.last_frame + 1
        for before, after in pairwise(entries)
    )
