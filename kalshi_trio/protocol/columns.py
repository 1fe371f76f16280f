"""Rows as packed numbers while they are made, as Arrow columns when they leave: no Python object a row in between.

A row is one `struct.pack` (0.2 µs), without what all rows of a read share (when and from where it came): that stands
once a read. Texts and lists of texts are numbered, anew for each batch, so that memory stays bounded whatever tickers a
peer invents. `arrow` holds the interpreter's lock for microseconds and may run in a thread.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.schema import ROW_SCHEMAS, TEXTS

NONE = 0xFFFFFFFF
"""The number of no text."""
YES, NO = 0, 1
"""The numbers of these two texts in every batch."""

_TEXT = ("I", "<u4")
_SIGNED = ("q", "<i8")


def _form(field: pa.Field) -> tuple[str, str]:
    """How a column is packed: the letter of `struct` and the type of numpy."""
    if pa.types.is_string(field.type) or field.type == TEXTS:
        return _TEXT
    if pa.types.is_boolean(field.type):
        return "?", "?"
    if pa.types.is_uint32(field.type):
        return "I", "<u4"
    if pa.types.is_uint64(field.type) and not field.nullable:
        return "Q", "<u8"
    return _SIGNED


_SHARED = {"ts_recv", "connection"}
"""What is the same for all rows of one read."""
_MANY = {"snapshots", "top_of_book", "gaps", "audits"}
"""Tables of which one message may make several rows: elsewhere `row` is the message's place in its frame, mostly 0."""

_OWN = {
    name: [field for field in schema if field.name not in (_SHARED if name in _MANY else _SHARED | {"row"})]
    for name, schema in ROW_SCHEMAS.items()
}

ROW: dict[str, struct.Struct] = {
    name: struct.Struct("<" + "".join(_form(field)[0] for field in fields)) for name, fields in _OWN.items()
}
"""Table → how a row is packed: its columns in order, but `ts_recv`, `connection`, and `row` where that is counted later.

No value: NULL; no text: NONE.
"""

_RECORD: dict[str, np.dtype[Any]] = {
    name: np.dtype([(field.name, _form(field)[1]) for field in fields]) for name, fields in _OWN.items()
}
_READ = np.dtype([("frame", "<u8"), ("ts_recv", "<i8"), ("connection", "<u4")])


class Numbered(dict[str, int]):
    """Texts → their numbers in this batch, given on first use."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


class Lists(dict[tuple[str, ...], int]):
    """The same for lists of texts."""

    def __missing__(self, texts: tuple[str, ...]) -> int:
        number = self[texts] = len(self)
        return number


class Packed:
    """The rows of one batch, packed: `rows[table]` grows by `ROW[table].pack(…)`.

    `reads`: number of the first record, time of receipt and connection of each read, before any row of it.
    """

    def __init__(self) -> None:
        self.rows: dict[str, bytearray] = {name: bytearray() for name in ROW_SCHEMAS}
        self.reads: list[tuple[int, int, int]] = []
        self.deltas = self.rows["deltas"]
        self.tops = self.rows["top_of_book"]
        self.texts = Numbered(yes=YES, no=NO)
        self.lists = Lists()

    def text(self, value: str | None) -> int:
        """The number of a text, NONE for none."""
        return NONE if value is None else self.texts[value]

    def arrow(self) -> dict[str, pa.Table]:
        """The tables that have rows, columns as in ROW_SCHEMAS."""
        texts = pa.array(list(self.texts), pa.string())
        lists = pa.array([list(item) for item in self.lists], TEXTS)
        reads = np.array(self.reads, _READ)
        return {name: _table(name, data, reads, texts, lists) for name, data in self.rows.items() if data}


def _table(name: str, data: bytearray, reads: npt.NDArray[Any], texts: pa.Array, lists: pa.Array) -> pa.Table:
    own = np.frombuffer(data, _RECORD[name])
    shared = reads[np.searchsorted(reads["frame"], own["frame"], side="right") - 1]
    values = {column: shared[column] for column in _SHARED}
    if name not in _MANY:
        values["row"] = _places(own["frame"])
    values |= {column: own[column] for column in own.dtype.names or ()}
    schema = ROW_SCHEMAS[name]
    return pa.table([_column(field, values[field.name], texts, lists) for field in schema], schema=schema)


def _places(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The place of each row among those of its frame, all rows being in the order of their frames."""
    same = frames[1:] == frames[:-1]
    places = np.zeros(len(frames), "<u4")
    if same.any():
        at = np.arange(len(frames), dtype="<u4")
        begins = np.where(np.concatenate(([False], same)), 0, at)
        places = (at - np.maximum.accumulate(begins)).astype("<u4")
    return places


def _column(field: pa.Field, values: npt.NDArray[Any], texts: pa.Array, lists: pa.Array) -> pa.Array:
    kind = field.type
    if kind == TEXTS:
        return pc.take(lists, pa.array(values))
    if pa.types.is_string(kind):
        return pc.take(texts, pa.array(values, mask=values == NONE if field.nullable else None))
    if pa.types.is_boolean(kind):
        return pa.array(values)
    plain = np.ascontiguousarray(values)
    missing = _bitmap(plain) if field.nullable else None
    if pa.types.is_decimal(kind):
        halves = np.empty((len(plain), 2), "<i8")
        halves[:, 0] = plain
        np.right_shift(plain, 63, out=halves[:, 1])
        plain = halves.reshape(-1)
    return pa.Array.from_buffers(kind, len(values), [missing, pa.py_buffer(plain)])


def units(decimals: pa.Array) -> npt.NDArray[np.int64]:
    """Decimals as integers in their own unit, as they lie in the buffer: the lower half of each. Undefined for nulls."""
    if not len(decimals):
        return np.zeros(0, "<i8")  # it may have no buffer
    halves = np.frombuffer(decimals.buffers()[1], "<i8", 2 * len(decimals), 16 * decimals.offset)
    return halves[::2]


def _bitmap(values: npt.NDArray[Any]) -> pa.Buffer | None:
    there = values != NULL
    return None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
