"""Batches of rows for the tests of sinks: plausible, deterministic, all tables and all kinds of nulls."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal

import pyarrow as pa

from kalshi_trio.protocol.schema import ROW_SCHEMAS, TABLES, RowBatch

SESSION = "20261124_050102-9f3a1c70"
DAY = datetime.date(2026, 11, 24)
START_NS = 1_795_496_462_123_456_789
MARKETS = [f"KXTEST-26NOV24-T{i}" for i in range(40)]


def deltas(frames: range, seed: int = 0) -> pa.Table:
    """One delta a frame, with prices, sizes and times like real ones."""
    random_ = random.Random(seed + frames.start)  # noqa: S311  test data
    n = len(frames)
    valid = [random_.random() < 0.95 for _ in frames]
    columns: dict[str, object] = {
        "frame": list(frames),
        "row": [0] * n,
        "ts_recv": [START_NS + frame * 1_000_000 + random_.randrange(900_000) for frame in frames],
        "ts_event": [(START_NS + frame * 1_000_000) // 1000 for frame in frames],
        "connection": [1] * n,
        "sid": [2] * n,
        "seq": list(frames),
        "market": random_.choices(MARKETS, range(1, 41), k=n),
        "side": random_.choices(["yes", "no"], k=n),
        "price": pa.array([Decimal(random_.randrange(1, 100)).scaleb(-2) for _ in frames], pa.decimal128(9, 4)),
        "delta": pa.array([Decimal(random_.randrange(-500, 500)) for _ in frames], pa.decimal128(18, 2)),
        "size": pa.array([Decimal(random_.randrange(0, 5000)) if ok else None for ok in valid], pa.decimal128(18, 2)),
        "valid": valid,
    }
    return pa.table(columns, schema=ROW_SCHEMAS["deltas"])


def any_rows(name: str, frames: list[int], seed: int = 0) -> pa.Table:
    """A row or more a frame of any table, every nullable column null in some rows."""
    random_ = random.Random(seed)  # noqa: S311  test data
    numbers = sorted(frame for frame in frames for _ in range(random_.choice([1, 1, 1, 3])))
    columns: dict[str, object] = {}
    for field in ROW_SCHEMAS[name]:
        values = [
            None if field.nullable and random_.random() < 0.3 else _value(field, frame, random_) for frame in numbers
        ]
        columns[field.name] = pa.array(values, field.type)
    columns["frame"] = pa.array(numbers, pa.uint64())
    rows = [i - numbers.index(frame) for i, frame in enumerate(numbers)]
    columns["row"] = pa.array(rows, pa.uint32())
    columns["ts_recv"] = pa.array([START_NS + frame * 1000 for frame in numbers], TABLES[name].field("ts_recv").type)
    return pa.table(columns, schema=ROW_SCHEMAS[name])


def _value(field: pa.Field, frame: int, random_: random.Random) -> object:
    kind = field.type
    if pa.types.is_decimal(kind):
        return Decimal(random_.randrange(1, 10_000)).scaleb(-kind.scale)
    if pa.types.is_timestamp(kind):
        return START_NS + frame * 1000 if kind.unit == "ns" else START_NS // 1000 + frame
    if pa.types.is_boolean(kind):
        return random_.random() < 0.5
    if pa.types.is_integer(kind):
        return random_.randrange(1, 1000)
    if pa.types.is_list(kind):
        return random_.sample(MARKETS, random_.randrange(3))
    return random_.choice(["yes", "no"] if field.name == "side" else MARKETS)


def batch(lo: int, hi: int, *, session: str = SESSION, date: datetime.date = DAY, every: int = 1) -> RowBatch:
    """Frames lo..hi: a delta each, and all other tables now and then (each `every` frames apart from another)."""
    tables = {"deltas": deltas(range(lo, hi + 1))} if every == 1 else {}
    for i, name in enumerate(TABLES):
        frames = [frame for frame in range(lo, hi + 1) if frame % 7 == i and frame % every == 0]
        if frames and name != "deltas":
            tables[name] = any_rows(name, frames, seed=lo)
    return RowBatch(
        session, lo, hi, date, tables, hi - lo + 1, 200 * (hi - lo + 1), START_NS + lo * 1000, START_NS + hi * 1000
    )


def delta_batch(lo: int, hi: int, session: str = SESSION) -> RowBatch:
    """Frames lo..hi: a delta each and nothing else."""
    rows = {"deltas": deltas(range(lo, hi + 1))}
    return RowBatch(session, lo, hi, DAY, rows, hi - lo + 1, 200 * (hi - lo + 1), START_NS, START_NS)
