"""The guide's lines for deltas and snapshots, made column by column: 0.3 µs a line, nearly all of it outside the GIL.

Lines as hand-written f-strings took 0.6 µs in the same trial and held the lock all the while. A column has few distinct
values: each is spelt once, with the words around it, and the lines are put together from seven such texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kalshi_trio.log_lines import escape
from kalshi_trio.protocol.columns import units
from kalshi_trio.protocol.schema import ROW_SCHEMAS, RowBatch

Around = Callable[[int], tuple[str, str]]
"""A second since 1970 → what stands before and behind the message in a line of that second."""


class Lines(NamedTuple):
    """Ready lines, each with its newline, and how many they are."""

    text: bytes
    number: int


def delta_lines(batch: RowBatch, around: Around) -> Lines:
    """A line for each delta and each snapshot, in the order of their frames, stamped with the time of receipt.

    `Delta: A yes 9800 delta=5 => 105` (price in 1/10,000 dollar, counts in contracts without needless decimals;
    `=> ? (no base)` where the level's size is not known) and `Snapshot received for A: seq=1, sides=yes, no`
    (`sides=none` for an empty one).
    """
    deltas, snapshots = _columns(batch, "deltas"), _first_levels(_columns(batch, "snapshots"))
    texts = _deltas(deltas, around)
    if snapshots.table.num_rows:
        texts = pa.concat_arrays([texts, _snapshots(snapshots, around)])
        order = np.argsort(np.concatenate([_frames(deltas), _frames(snapshots.table)]), kind="stable")
        texts = texts.take(pa.array(order))
    return Lines(_joined(texts), len(texts))


class _Snapshots(NamedTuple):
    """The first row of each snapshot, and which sides it has levels of."""

    table: pa.Table
    yes: npt.NDArray[np.bool_]
    no: npt.NDArray[np.bool_]


def _columns(batch: RowBatch, name: str) -> pa.Table:
    table = batch.tables.get(name)
    return ROW_SCHEMAS[name].empty_table() if table is None else table.combine_chunks()


def _first_levels(table: pa.Table) -> _Snapshots:
    if not table.num_rows:
        return _Snapshots(table, np.zeros(0, bool), np.zeros(0, bool))
    _, first = np.unique(_frames(table), return_index=True)
    sides = [pc.fill_null(pc.equal(table["side"], side), False).to_numpy() for side in ("yes", "no")]  # noqa: FBT003  a value
    return _Snapshots(table.take(pa.array(first)), *(np.logical_or.reduceat(side, first) for side in sides))


def _deltas(table: pa.Table, around: Around) -> pa.Array:
    before, behind = _around(table, around)
    market = _spelt(table, "market", lambda tickers: _affixed("Delta: ", _escaped(tickers), " "))
    side = _spelt(table, "side", lambda sides: _affixed("", sides, " "))
    price = _spelt(table, "price", lambda prices: _affixed("", _whole(prices), " delta="))
    delta = _spelt(table, "delta", lambda counts: _affixed("", _contracts(counts), " => "))
    size = pc.fill_null(_spelt(table, "size", _contracts), "? (no base)")
    return pc.binary_join_element_wise(before, market, side, price, delta, size, behind, "")


def _snapshots(snapshots: _Snapshots, around: Around) -> pa.Array:
    before, behind = _around(snapshots.table, around)
    market = _spelt(
        snapshots.table, "market", lambda tickers: _affixed("Snapshot received for ", _escaped(tickers), "")
    )
    seq = pc.cast(_array(snapshots.table, "seq"), pa.string())
    sides = pa.array(["none", "no", "yes", "yes, no"]).take(pa.array(2 * snapshots.yes + snapshots.no))
    return pc.binary_join_element_wise(before, market, ": seq=", seq, ", sides=", sides, behind, "")


def _array(table: pa.Table, name: str) -> pa.Array:
    column = table[name]
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _spelt(table: pa.Table, name: str, spell: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """A column as texts, its distinct values spelt by `spell`; null where it is null."""
    column = _array(table, name).dictionary_encode()
    return spell(column.dictionary).take(column.indices)


def _affixed(before: str, texts: pa.Array, behind: str) -> pa.Array:
    return pc.binary_join_element_wise(before, texts, behind, "")


def _escaped(tickers: pa.Array) -> pa.Array:
    """They are the peer's: each is shown on one line, whatever is in it."""
    return pa.array([escape(ticker) for ticker in tickers.to_pylist()], pa.string())


def _contracts(counts: pa.Array) -> pa.Array:
    return pc.ascii_rtrim(pc.ascii_rtrim(pc.cast(counts, pa.string()), "0"), ".")


def _whole(prices: pa.Array) -> pa.Array:
    """In the decimal's own unit."""
    return pc.cast(pa.array(np.ascontiguousarray(units(prices))), pa.string())


def _frames(table: pa.Table) -> npt.NDArray[np.uint64]:
    frames: npt.NDArray[np.uint64] = table["frame"].to_numpy()
    return frames


def _around(table: pa.Table, around: Around) -> tuple[pa.Array, pa.Array]:
    """One pair of texts a distinct second of receipt, spread over its rows."""
    stamps = pc.cast(_array(table, "ts_recv"), pa.int64()).to_numpy()
    seconds = pa.array(stamps // 1_000_000_000).dictionary_encode()
    pairs = [around(second) for second in seconds.dictionary.to_pylist()]
    before = pa.array([before for before, _ in pairs], pa.string()).take(seconds.indices)
    return before, pa.array([f"{behind}\n" for _, behind in pairs], pa.string()).take(seconds.indices)


def _joined(texts: pa.Array) -> bytes:
    """All texts end to end: that is how Arrow holds them."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, "<i4")
    start, end = int(ends[texts.offset]), int(ends[texts.offset + len(texts)])
    joined: bytes = data.slice(start, end - start).to_pybytes()
    return joined
