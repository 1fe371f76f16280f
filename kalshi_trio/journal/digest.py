"""The digest of a table's rows in a segment: the same for the same rows, however they were cut into batches.

SHA-256 over the SHA-256 of its streams, column by column in table order (`session` and `date` left out): if nullable, a
byte a row (1 present); if text or a list, its length as uint32 a row; then the values, little-endian at the type's width,
decimals as int64 in their own unit, bool a byte, texts end to end, a null as zero or nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kalshi_trio.protocol.columns import units
from kalshi_trio.protocol.schema import ROW_SCHEMAS

Digests = dict[str, tuple[int, str]]
"""Table → how many rows it has, and their digest."""


class TableDigest:
    """Takes the rows of one table in order, batch after batch."""

    def __init__(self, table: str) -> None:
        self._schema = ROW_SCHEMAS[table]
        self._streams = [[hashlib.sha256() for _ in range(_streams(field))] for field in self._schema]

    def update(self, rows: pa.Table) -> None:
        """Adds rows; columns as in ROW_SCHEMAS."""
        for field, hashes in zip(self._schema, self._streams, strict=True):
            for chunk in rows.column(field.name).chunks:
                for state, data in zip(hashes, _bytes(field, chunk), strict=True):
                    state.update(data)

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        whole = hashlib.sha256()
        for hashes in self._streams:
            for state in hashes:
                whole.update(state.digest())
        return whole.hexdigest()


def session_digest(segments: Iterable[str]) -> str:
    """The digest of a session's table: SHA-256 of its segments' digests in order."""
    whole = hashlib.sha256()
    for digest in segments:
        whole.update(bytes.fromhex(digest))
    return whole.hexdigest()


def _variable(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_list(kind))


def _streams(field: pa.Field) -> int:
    inner = 1 if pa.types.is_list(field.type) else 0
    return int(field.nullable) + int(_variable(field.type)) + inner + 1


def _bytes(field: pa.Field, values: pa.Array) -> list[Any]:
    parts: list[Any] = []
    if field.nullable:
        parts.append(np.asarray(pc.is_valid(values)).astype("u1"))
    kind = values.type
    if _variable(kind):
        measure = pc.binary_length if pa.types.is_string(kind) else pc.list_value_length
        parts.append(np.asarray(pc.fill_null(measure(values), 0)).astype("<u4"))
    if pa.types.is_list(kind):
        items = values.flatten()
        parts.append(np.asarray(pc.binary_length(items)).astype("<u4"))
        values, kind = items, items.type
    parts.append(_values(values, kind))
    return [np.ascontiguousarray(part) if isinstance(part, np.ndarray) else part for part in parts]


def _values(values: pa.Array, kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        joined = pc.fill_null(values, "") if values.null_count else values
        buffers = joined.buffers()
        offsets = np.frombuffer(buffers[1], "<i4", len(joined) + 1, joined.offset * 4)
        return memoryview(buffers[2] or b"")[int(offsets[0]) : int(offsets[-1])]
    if pa.types.is_decimal(kind):
        return _zeroed(units(values), values)
    if pa.types.is_boolean(kind):
        return np.asarray(pc.fill_null(values, pa.scalar(value=False))).astype("u1")
    width = kind.bit_width // 8
    return _zeroed(np.frombuffer(values.buffers()[1], f"<u{width}", len(values), values.offset * width), values)


def _zeroed(numbers: Any, values: pa.Array) -> Any:
    if not values.null_count:
        return numbers
    return np.where(np.asarray(pc.is_valid(values)), numbers, numbers.dtype.type(0))
