"""Two tables that should have the same rows: which are missing, stand twice, have no right to be there, or differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_ROWS_A_FRAME = np.uint64(1 << 22)
"""A frame of 4 million rows would be larger than any message."""
_Keys = npt.NDArray[np.uint64]


class Difference(NamedTuple):
    """Keys as made by `keys_of`; `changed` are rows that both have, with other values in `columns`."""

    missing: _Keys
    double: _Keys
    foreign: _Keys
    changed: _Keys
    columns: list[str]


def keys_of(rows: pa.Table) -> _Keys:
    """A number for each row that sorts as (frame, row)."""
    frames, places = rows["frame"].to_numpy(), rows["row"].to_numpy()
    return np.asarray(frames, np.uint64) * _ROWS_A_FRAME + np.asarray(places, np.uint64)


def frame_of(key: object) -> int:
    """The frame in a key."""
    return int(key) // int(_ROWS_A_FRAME)  # type: ignore[call-overload,no-any-return]  # a numpy number


def compare(expected: pa.Table, found: pa.Table) -> Difference | None:
    """What is different; None if nothing is. Both have the columns of ROW_SCHEMAS."""
    if found.equals(expected):
        return None
    ours, theirs = keys_of(expected), keys_of(found)
    unique, first, counts = np.unique(theirs, return_index=True, return_counts=True)
    both = np.intersect1d(ours, unique, assume_unique=True)
    left = expected.take(np.searchsorted(ours, both))
    right = found.take(first[np.searchsorted(unique, both)])
    wrong, columns = np.zeros(len(both), bool), []
    for name in expected.column_names:
        differs = _differs(left[name], right[name])
        if differs.any():
            columns.append(name)
            wrong |= differs
    return Difference(
        np.setdiff1d(ours, unique, assume_unique=True),
        unique[counts > 1],
        np.setdiff1d(unique, ours, assume_unique=True),
        both[wrong],
        columns,
    )


def _differs(left: pa.ChunkedArray, right: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    if left.equals(right):
        return np.zeros(len(left), bool)
    if pa.types.is_list(left.type):
        return np.array([a != b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)], bool)
    there = np.asarray(pc.not_equal(pc.is_valid(left), pc.is_valid(right)))
    other = pc.fill_null(pc.not_equal(left, right), pa.scalar(value=False))
    return np.asarray(there | np.asarray(other), bool)
