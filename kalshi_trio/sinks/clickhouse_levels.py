"""From the rows of a batch to `latest_levels`: the current size of every level, newest version wins.

A version is the received time made strictly increasing frame by frame, across batches and sessions. A snapshot's
version is the `base` of all that follows in its market, so levels that it no longer has fall out of the book.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kalshi_trio.protocol.columns import units
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.sinks.batch import beyond, frames_of
from kalshi_trio.sinks.clickhouse_schema import LEVELS_SCHEMA

_Ints = npt.NDArray[np.int64]
_TAKEN = ["frame", "ts_recv", "market", "side", "price", "size"]


@dataclass(frozen=True)
class LevelState:
    """What the next rows depend on: the last version given, and each market's base."""

    version: int = 0
    bases: dict[str, int] = field(default_factory=dict)


def level_rows(batch: RowBatch, after: dict[str, int], state: LevelState) -> tuple[pa.Table, LevelState]:
    """The rows for `latest_levels` that the batch's valid deltas and snapshots make, in order, and the state then.

    Of the changes of one level only the newest is a row: the engine would drop the others at the insert. Rows that the
    table holds already may be made again: what comes last in time always has the highest version.
    """
    done = min(after.get("deltas", 0), after.get("snapshots", 0))
    rows = _book_rows(batch, done)
    if not rows.num_rows:
        return LEVELS_SCHEMA.empty_table(), state
    versions = _versions(rows, state.version)
    markets = rows.column("market").combine_chunks().dictionary_encode()
    names = markets.dictionary.to_pylist()
    known = np.array([state.bases.get(name, 0) for name in names], np.int64)
    codes = markets.indices.to_numpy()
    bases = _bases(codes, rows.column("snapshot").to_numpy(), versions, known)
    columns = [rows.column(name) for name in LEVELS_SCHEMA.names[:4]]
    table = pa.Table.from_arrays(
        [*columns, pa.array(bases.astype(np.uint64)), pa.array(versions.astype(np.uint64))], schema=LEVELS_SCHEMA
    )
    known[codes] = bases  # the last row of a market decides, since numpy assigns in order
    table = table.take(_newest(codes, table))
    return table, LevelState(int(versions[-1]), state.bases | dict(zip(names, known.tolist(), strict=True)))


def _book_rows(batch: RowBatch, done: int) -> pa.Table:
    parts = []
    if (deltas := batch.tables.get("deltas")) is not None:
        deltas = beyond(deltas, done)
        parts.append(_marked(deltas.filter(deltas.column("valid")), snapshot=False))
    if (snapshots := batch.tables.get("snapshots")) is not None:
        parts.append(_marked(beyond(snapshots, done), snapshot=True))
    if not parts:
        return LEVELS_SCHEMA.empty_table()
    rows = pa.concat_tables(parts)
    return rows if len(parts) == 1 else rows.take(np.argsort(frames_of(rows), kind="stable"))


def _marked(rows: pa.Table, *, snapshot: bool) -> pa.Table:
    # A snapshot without levels has nulls; it becomes one row of size 0 that moves the base on.
    filled = {
        "side": pc.fill_null(rows.column("side"), ""),
        "price": pc.fill_null(rows.column("price"), pa.scalar(Decimal(0), rows.schema.field("price").type)),
        "size": pc.fill_null(rows.column("size"), pa.scalar(Decimal(0), rows.schema.field("size").type)),
    }
    taken = {name: filled.get(name, rows.column(name)) for name in _TAKEN}
    return pa.table(taken | {"snapshot": pa.repeat(pa.scalar(snapshot), rows.num_rows)})


def _versions(rows: pa.Table, last: int) -> _Ints:
    """A version a frame: max(received, the one before + 1), as a running maximum of received less place."""
    frames = frames_of(rows)
    received = rows.column("ts_recv").cast(pa.int64()).to_numpy()
    begins = np.concatenate([[True], frames[1:] != frames[:-1]])
    places = np.arange(np.count_nonzero(begins))
    by_frame = np.maximum(np.maximum.accumulate(received[begins] - places), last + 1) + places
    versions: _Ints = by_frame[np.cumsum(begins) - 1]
    return versions


def _bases(codes: npt.NDArray[np.int32], snapshot: npt.NDArray[np.bool_], versions: _Ints, known: _Ints) -> _Ints:
    """For each row the version of its market's last snapshot, its own included; `known` for markets without one yet."""
    if not snapshot.any():
        return known[codes]
    order = np.argsort(codes, kind="stable")
    grouped = codes[order]
    sets = snapshot[order] | np.concatenate([[True], grouped[1:] != grouped[:-1]])
    values = np.where(snapshot[order], versions[order], known[grouped])
    last_set = np.maximum.accumulate(np.where(sets, np.arange(len(order)), 0))
    bases = np.empty_like(versions)
    bases[order] = values[last_set]
    return bases


def _newest(codes: npt.NDArray[np.int32], levels: pa.Table) -> npt.NDArray[np.int64]:
    """The place of each level's last row: a busy batch has some ten rows a level, of which nine need not be written."""
    side = levels.column("side").combine_chunks().dictionary_encode().indices.to_numpy()
    price = units(levels.column("price").combine_chunks())
    level = pa.array(codes.astype(np.int64) << 32 | price << 2 | side).dictionary_encode()
    newest = np.zeros(len(level.dictionary), np.int64)
    newest[level.indices.to_numpy()] = np.arange(len(level))
    return np.sort(newest)
