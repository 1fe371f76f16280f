"""One segment of the journal: an Arrow IPC stream (zstd), a record batch a flush, columns as `contracts` say.

Bytes count once they are fsynced. Each batch is a unit with a tag of its own (`tags`), checked before it is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kalshi_trio.protocol.records import Kind, Records

KINDS: tuple[Kind, ...] = ("frame", "command", "connection", "session", "rest", "stall", "unwritable")
PIECE = 4_096
"""Values turned into Arrow at a time: more would hold the interpreter's lock for milliseconds."""

SCHEMA = pa.schema(
    [
        pa.field("frame", pa.uint64(), nullable=False),
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("connection", pa.uint32(), nullable=False),
        pa.field("ts_recv", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("mono_ns", pa.int64(), nullable=False),
        pa.field("data", pa.binary(), nullable=False),
    ]
)
_KINDS = pa.Array.from_buffers(
    pa.string(),
    len(KINDS),
    [None, pa.py_buffer(np.cumsum([0, *map(len, KINDS)], dtype="i4")), pa.py_buffer("".join(KINDS).encode())],
)
_NUMBER = {kind: number for number, kind in enumerate(KINDS)}


class Entry(NamedTuple):
    """One batch in a segment's file."""

    offset: int
    length: int
    crc32c: int
    first_frame: int
    last_frame: int


class Missing(NamedTuple):
    """Records that a segment's file was left without for good, and why: damage, as recovery found it."""

    first: int
    last: int
    why: str


class Closed(NamedTuple):
    """A segment that gets no more records; `first` and `last` are its own even where they are missing."""

    file: str
    first: int
    last: int
    bytes: int
    sha256: str


def encode(runs: Sequence[Records]) -> pa.RecordBatch:
    """Consecutive records as one record batch."""
    counts = [len(run.data) for run in runs]

    def spread(values: Sequence[int], kind: str) -> Any:
        return np.repeat(np.array(values, kind), counts)

    total = sum(counts)
    flat: list[bytes] = []
    for run in runs:
        flat.extend(run.data)
    parts = [pa.array(flat[at : at + PIECE], pa.binary()) for at in range(0, total, PIECE)]
    data = parts[0] if len(parts) == 1 else pa.concat_arrays(parts)
    kinds = pa.DictionaryArray.from_arrays(pa.array(spread([_NUMBER[run.kind] for run in runs], "i1")), _KINDS)
    return pa.record_batch(
        [
            pa.array(np.arange(runs[0].first, runs[0].first + total, dtype="u8")),
            kinds,
            pa.array(spread([run.connection for run in runs], "u4")),
            pa.array(spread([run.ts_recv for run in runs], "i8")).view(SCHEMA.field("ts_recv").type),
            pa.array(spread([run.mono_ns for run in runs], "i8")),
            data,
        ],
        schema=SCHEMA,
    )


def decode(batch: pa.RecordBatch) -> list[Records]:
    """The records of a batch (of one at least), put together where they share their stamps."""
    count = batch.num_rows
    kinds, names = numbers(batch.column(1).indices, "i1"), batch.column(1).dictionary.to_pylist()
    columns = [numbers(batch.column(2), "u4"), numbers(batch.column(4), "i8")]
    stamps = numbers(batch.column(3), "i8")
    change = np.zeros(count, bool)
    change[0] = True
    for values in (kinds, stamps, *columns):
        change[1:] |= values[1:] != values[:-1]
    starts = [*np.flatnonzero(change).tolist(), count]
    data = batch.column(5).to_pylist()
    first = batch.column(0)[0].as_py()
    return [
        Records(
            first + start,
            names[kinds[start]],
            int(columns[0][start]),
            int(stamps[start]),
            int(columns[1][start]),
            data[start:end],
        )
        for start, end in pairwise(starts)
    ]


def numbers(column: pa.Array, kind: str) -> npt.NDArray[Any]:
    """The values of a column of numbers or times (never null here), not copied.

    `to_numpy`, and `pa.array` too, would import pandas first where it is installed: 0.3 s of a command that only reads.
    """
    return np.frombuffer(column.buffers()[1], kind)[column.offset : column.offset + len(column)]


@cache
def stream_head() -> bytes:
    """The schema and the dictionary of kinds: what must stand before a batch from the middle of a segment to make a stream.

    It is the same for all segments, so damage to the head of a file costs that file's first batch and no other.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        writer.write_batch(no_records())
    whole = sink.getvalue()
    source, end = pa.BufferReader(whole), 0
    for message in pa.ipc.MessageReader.open_stream(source):
        if message.type == "record batch":
            break
        end = source.tell()
    return bytes(whole[:end])


def no_records() -> pa.RecordBatch:
    """No record, but the dictionary."""
    columns = [pa.nulls(0).cast(field.type) for field in SCHEMA]
    columns[1] = pa.DictionaryArray.from_arrays(pa.nulls(0).cast(pa.int8()), _KINDS)
    return pa.record_batch(columns, schema=SCHEMA)
