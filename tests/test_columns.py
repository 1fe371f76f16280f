"""Packed rows as Arrow columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from fed import plain
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.protocol.columns import NONE, ROW, Packed
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.schema import CONSTANT, ROW_SCHEMAS, TABLES, TEXTS


def row(packed: Packed, name: str, frame: int, present: bool) -> None:
    """A row of that table: a value in each column, or in those that need one."""
    values: list[Any] = []
    for field in ROW_SCHEMAS[name]:
        if field.name in ("ts_recv", "connection") or (
            field.name == "row" and name not in ("snapshots", "top_of_book", "gaps", "audits")
        ):
            continue
        there = present or not field.nullable
        if pa.types.is_string(field.type):
            values.append(packed.texts[f"{field.name}{frame}"] if there else NONE)
        elif field.type == TEXTS:
            values.append(packed.lists["A", f"M{frame}"])
        elif pa.types.is_boolean(field.type):
            values.append(frame % 2 == 0)
        else:
            values.append((-frame if pa.types.is_decimal(field.type) else frame) if there else NULL)
    packed.rows[name] += ROW[name].pack(*values)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_exact_schema_and_holds_together(name: str) -> None:
    packed = Packed()
    for frame in range(1, 20):
        packed.reads.append((frame, frame * 1000, 7))
        row(packed, name, frame, frame % 3 != 0)
    tables = packed.arrow()

    assert list(tables) == [name]
    assert tables[name].schema.equals(ROW_SCHEMAS[name], check_metadata=True)
    tables[name].validate(full=True)
    for field in ROW_SCHEMAS[name]:
        assert tables[name][field.name].null_count == (6 if field.nullable else 0), field.name


def test_rows_leave_out_only_session_and_date() -> None:
    for name, schema in TABLES.items():
        assert [field.name for field in schema if field.name not in CONSTANT] == ROW_SCHEMAS[name].names
        assert schema.names[:9] == [
            "session",
            "frame",
            "row",
            "date",
            "ts_recv",
            "ts_event",
            "connection",
            "sid",
            "seq",
        ]


def test_values_come_out_as_they_went_in() -> None:
    packed = Packed()
    packed.reads.append((5, 1000, 2))
    packed.rows["deltas"] += ROW["deltas"].pack(6, NULL, 1, 9, packed.texts["A"], 1, 9800, -537, NULL, False)
    packed.rows["gaps"] += ROW["gaps"].pack(
        *(
            6,
            1,
            NULL,
            1,
            9,
            packed.texts["opened"],
            6,
            packed.texts["sequence"],
            NONE,
            7,
            9,
            packed.lists[()],
            1000,
            NULL,
        )
    )
    tables = packed.arrow()

    assert plain(tables["deltas"]) == [
        {
            "frame": 6,
            "row": 0,
            "ts_recv": 1000,
            "ts_event": None,
            "connection": 2,
            "sid": 1,
            "seq": 9,
            "market": "A",
            "side": "no",
            "price": "0.9800",
            "delta": "-5.37",
            "size": None,
            "valid": False,
        }
    ]
    assert plain(tables["gaps"]) == [
        {
            "frame": 6,
            "row": 1,
            "ts_recv": 1000,
            "ts_event": None,
            "connection": 2,
            "sid": 1,
            "seq": 9,
            "event": "opened",
            "gap_frame": 6,
            "cause": "sequence",
            "channel": None,
            "expected": 7,
            "got": 9,
            "markets": [],
            "opened_at": 1000,
            "healed_at": None,
        }
    ]


@given(st.lists(st.integers(1 - 10**18, 10**18 - 1), min_size=1))
def test_decimals_are_exact(values: list[int]) -> None:
    packed = Packed()
    packed.reads.append((1, 0, 1))
    for frame, value in enumerate(values, 1):
        packed.rows["deltas"] += ROW["deltas"].pack(frame, NULL, 1, 1, packed.texts["A"], 0, 0, value, NULL, False)
    column = packed.arrow()["deltas"]["delta"]
    column.validate(full=True)

    assert [int(number.scaleb(2)) for number in column.to_pylist()] == values


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2**62), st.integers(0, 2**32 - 1)), min_size=1, max_size=20)
)
def test_each_row_has_the_stamps_of_its_own_read(reads: list[tuple[int, int, int]]) -> None:
    packed, frame, expected = Packed(), 1, []
    for frames, ts_recv, connection in reads:
        packed.reads.append((frame, ts_recv, connection))
        for _ in range(frames):
            packed.rows["deltas"] += ROW["deltas"].pack(frame, NULL, 1, 1, packed.texts["A"], 0, 0, 0, NULL, False)
            expected.append((frame, ts_recv, connection))
            frame += 1

    made = [(row["frame"], row["ts_recv"], row["connection"]) for row in plain(packed.arrow()["deltas"])]
    assert made == expected


@given(st.lists(st.text(), min_size=1))
def test_texts_come_out_as_they_went_in(texts: list[str]) -> None:
    packed = Packed()
    packed.reads.append((1, 0, 1))
    for text in texts:
        packed.rows["deltas"] += ROW["deltas"].pack(
            1, NULL, 1, 1, packed.texts[text], packed.texts["yes"], 0, 0, NULL, False
        )

    assert [(row["market"], row["side"]) for row in plain(packed.arrow()["deltas"])] == [
        (text, "yes") for text in texts
    ]
