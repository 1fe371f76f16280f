"""`NNNNNN.index`: a row a batch of a closed segment, so that damage costs one batch and reading can begin anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal.files import sync_folder
from kalshi_trio.journal.segment import Entry

SCHEMA = pa.schema(
    [
        pa.field("offset", pa.uint64(), nullable=False),
        pa.field("length", pa.uint64(), nullable=False),
        pa.field("crc32c", pa.uint32(), nullable=False),
        pa.field("first_frame", pa.uint64(), nullable=False),
        pa.field("last_frame", pa.uint64(), nullable=False),
    ]
)


def write_index(path: Path, entries: list[Entry], nbytes: int, sha256: str) -> None:
    """Puts the index of a closed segment, whole or not at all."""
    columns = [
        pa.array(list(values), field.type) for values, field in zip(zip(*entries, strict=True), SCHEMA, strict=True)
    ]
    schema = SCHEMA.with_metadata({"bytes": str(nbytes), "sha256": sha256})
    temporary = path.with_suffix(".index.tmp")
    with temporary.open("wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def read_index(path: Path) -> tuple[list[Entry], int, str] | None:
    """Entries, bytes and SHA-256 of the segment; None without an index. JournalDamaged if it cannot be read."""
    if not path.exists():
        return None
    try:
        with pa.ipc.open_file(path) as reader:
            metadata = reader.schema.metadata
            rows = reader.read_all().to_pydict()
    except (pa.ArrowInvalid, OSError) as error:
        raise JournalDamaged(f"{path}: {error}") from error
    entries = [Entry(*values) for values in zip(*rows.values(), strict=True)]
    return entries, int(metadata[b"bytes"]), metadata[b"sha256"].decode()
