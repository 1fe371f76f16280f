"""`NNNNNN.index`: a row a batch of a closed segment, so that damage costs one batch and reading can begin anywhere."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal.files import read_regular, refusals, sync_folder
from kalshi_trio.journal.segment import Entry, Missing
from kalshi_trio.own_hash import PLACEHOLDER, whole, with_own_hash

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
    """The batches of a closed segment, the whole file's length and SHA-256, and what is missing between them."""

    entries: list[Entry]
    bytes: int
    sha256: str
    missing: Sequence[Missing] = ()

    @property
    def first(self) -> int:
        """The segment's first record, even where it is missing."""
        return min([*(one.first_frame for one in self.entries[:1]), *(one.first for one in self.missing)])

    @property
    def last(self) -> int:
        """Its last one, likewise."""
        return max([*(one.last_frame for one in self.entries[-1:]), *(one.last for one in self.missing)])


def write_index(path: Path, index: Index) -> None:
    """Puts the index of a closed segment, whole or not at all; JournalUnwritable where the disk refuses."""
    columns = [pa.array([entry[place] for entry in index.entries], field.type) for place, field in enumerate(SCHEMA)]
    about = {"bytes": str(index.bytes), "sha256": index.sha256, OWN: PLACEHOLDER}
    about |= {"missing": json.dumps(index.missing)} if index.missing else {}
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


def read_index(path: Path) -> Index | None:
    """The index of a segment; None without one. JournalDamaged if it is not what was written, or cannot be read.

    Its own hash is looked at first: Arrow would believe whatever stands there.
    """
    try:
        data = read_regular(path)
        if not whole(io.BytesIO(data), len(data)):
            raise JournalDamaged(f"{path}: checksum differs")
        with pa.ipc.open_file(pa.BufferReader(data)) as reader:
            if not reader.schema.equals(SCHEMA):
                raise JournalDamaged(f"{path}: not the columns of an index")
            metadata = reader.schema.metadata or {}
            rows = reader.read_all().to_pydict()
        index = Index(
            [Entry(*values) for values in zip(*rows.values(), strict=True)],
            int(metadata[b"bytes"]),
            metadata[b"sha256"].decode(),
            [Missing(*one) for one in json.loads(metadata.get(b"missing", b"[]"))],
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalDamaged(f"{path}: {error.strerror or error}") from error
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise JournalDamaged(f"{path}: {error}") from error
    if not _plausible(index):
        raise JournalDamaged(f"{path}: its batches do not follow one another")
    return index


def _plausible(index: Index) -> bool:
    """Whether each batch stands behind the one before it, and has the records that follow, or are missing between."""
    entries = index.entries
    if any(after.offset < before.offset + before.length for before, after in pairwise(entries)):
        return False
    if entries and entries[-1].offset + entries[-1].length > index.bytes:
        return False
    spans = sorted([(one.first_frame, one.last_frame) for one in entries] + [one[:2] for one in index.missing])
    return (
        bool(spans)
        and all(first <= last for first, last in spans)
        and all(following == last + 1 for (_, last), (following, _) in pairwise(spans))
    )
