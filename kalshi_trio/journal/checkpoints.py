"""The builder's state at the beginning of a segment, beside it: readers start at the nearest one.

A checkpoint is derived from the journal; a missing or damaged one costs time, never rows.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from kalshi_trio.journal.files import sync_folder
from kalshi_trio.logging_config import get_logger

log = get_logger(__name__)


class Checkpoint(NamedTuple):
    """`blob` is the state behind record `first` - 1; `first` begins segment `segment`."""

    segment: int
    first: int
    blob: bytes


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes it whole or not at all; not on a disk that refuses, which the log says."""
    path = folder / f"{checkpoint.segment:06}.checkpoint"
    body = pa.compress(checkpoint.blob, codec="zstd", asbytes=True)
    head = checkpoint.first.to_bytes(8, "little") + len(checkpoint.blob).to_bytes(8, "little")
    temporary = path.with_suffix(".checkpoint.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(hashlib.sha256(head + body).digest() + head + body)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(folder)
    except OSError as error:
        log.warning("No checkpoint at frame %d: %s", checkpoint.first, error)


def nearest(folder: Path, after: int) -> Checkpoint | None:
    """The last whole checkpoint whose first record is not behind `after` + 1; None if there is none."""
    for path in sorted(folder.glob("*.checkpoint"), reverse=True):
        found = _load(path)
        if found is not None and found.first <= after + 1:
            return found
    return None


def every(folder: Path) -> list[tuple[Path, Checkpoint | None]]:
    """All of them, oldest first; None where one is damaged."""
    return [(path, _load(path)) for path in sorted(folder.glob("*.checkpoint"))]


def _load(path: Path) -> Checkpoint | None:
    data = path.read_bytes()
    if len(data) < 48 or hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    first, size = int.from_bytes(data[32:40], "little"), int.from_bytes(data[40:48], "little")
    blob = pa.decompress(data[48:], decompressed_size=size, codec="zstd", asbytes=True)
    return Checkpoint(int(path.stem), first, blob)
