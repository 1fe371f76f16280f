"""Lines of deltas and snapshots: the guide's bytes, in frame order, whatever the ticker."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.observe.delta_lines import delta_lines
from kalshi_trio.protocol.schema import ROW_SCHEMAS, RowBatch

SECOND = 1_000_000_000


def table(name: str, *rows: Mapping[str, object]) -> pa.Table:
    """Rows of a table with the values given and plain ones elsewhere."""
    usual: dict[str, object] = {"connection": 1, "sid": 1, "seq": 1, "market": "A", "side": "yes", "valid": True}
    usual |= {"row": 0, "ts_recv": SECOND, "ts_event": None, "levels": 1}
    usual |= {"price": Decimal("0.98"), "delta": Decimal(5), "size": Decimal(105)}
    columns = {field.name: [{**usual, **row}[field.name] for row in rows] for field in ROW_SCHEMAS[name]}
    return pa.table(columns, schema=ROW_SCHEMAS[name])


def batch(**tables: pa.Table) -> RowBatch:
    return RowBatch("20261124_050102-9f3a1c70", 1, 99, datetime.date(2026, 11, 24), tables, 99, 0, 0, 0)


def lines(**tables: pa.Table) -> list[str]:
    made = delta_lines(batch(**tables), lambda second: (f"{second} ", ""))
    texts = made.text.decode().splitlines()
    assert made.number == len(texts)
    return texts


def test_a_delta_and_a_snapshot_read_as_in_the_guide() -> None:
    deltas = table("deltas", {"frame": 2}, {"frame": 3, "side": "no", "size": None, "delta": Decimal("-0.37")})
    sides = [{"frame": 1, "row": row, "side": side} for row, side in enumerate(["yes", "yes", "no"])]

    assert lines(deltas=deltas, snapshots=table("snapshots", *sides)) == [
        "1 Snapshot received for A: seq=1, sides=yes, no",
        "1 Delta: A yes 9800 delta=5 => 105",
        "1 Delta: A no 9800 delta=-0.37 => ? (no base)",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [("5", "5"), ("11.63", "11.63"), ("11.60", "11.6"), ("100", "100"), ("0", "0"), ("-0.01", "-0.01")],
)
def test_counts_have_no_needless_decimals(value: str, text: str) -> None:
    row = {"frame": 1, "delta": Decimal(value), "size": Decimal(value)}

    assert lines(deltas=table("deltas", row)) == [f"1 Delta: A yes 9800 delta={text} => {text}"]


def test_snapshots_say_which_sides_they_have() -> None:
    rows: list[dict[str, object]] = [
        {"frame": 1, "side": None, "price": None, "size": None, "levels": 0},
        {"frame": 2, "side": "no"},
        {"frame": 4, "side": "yes", "seq": 7},
    ]

    assert lines(snapshots=table("snapshots", *rows)) == [
        "1 Snapshot received for A: seq=1, sides=none",
        "1 Snapshot received for A: seq=1, sides=no",
        "1 Snapshot received for A: seq=7, sides=yes",
    ]


def test_lines_are_in_the_order_of_frames_and_stamped_with_their_receipt() -> None:
    deltas = table("deltas", *({"frame": frame, "ts_recv": frame * SECOND} for frame in (1, 3, 5)))
    snapshots = table("snapshots", *({"frame": frame, "ts_recv": frame * SECOND} for frame in (2, 4)))

    assert [line.split()[0] + line.split()[1][0] for line in lines(deltas=deltas, snapshots=snapshots)] == [
        "1D", "2S", "3D", "4S", "5D",
    ]  # fmt: skip


def test_a_hostile_ticker_stays_on_its_line() -> None:
    row = {"frame": 1, "market": "../../x\n2026-01-01 | SESSION\x1b[31m"}

    assert lines(deltas=table("deltas", row)) == [
        "1 Delta: ../../x\\n2026-01-01 | SESSION\\x1b[31m yes 9800 delta=5 => 105"
    ]


def test_a_batch_without_deltas_and_snapshots_has_no_lines() -> None:
    assert lines() == []
    assert lines(deltas=table("deltas")) == []


def test_a_slice_and_many_chunks_give_their_own_lines() -> None:
    rows = [{"frame": frame, "price": Decimal(frame).scaleb(-4)} for frame in range(1, 9)]
    whole = table("deltas", *rows)
    chunked = pa.concat_tables([whole.slice(2, 3), whole.slice(6)])

    assert [line.split()[4] for line in lines(deltas=whole.slice(5))] == ["6", "7", "8"]
    assert [line.split()[4] for line in lines(deltas=chunked)] == ["3", "4", "5", "7", "8"]


CENTS = st.integers(-(10**11), 10**11)


@given(st.lists(st.tuples(st.integers(0, 10_000), CENTS, st.none() | CENTS), max_size=20))
def test_every_number_is_shown_exactly(rows: list[tuple[int, int, int | None]]) -> None:
    def shown(count: int) -> str:
        return f"{Decimal(count).scaleb(-2):.2f}".rstrip("0").rstrip(".")

    deltas = [
        {
            "frame": frame,
            "price": Decimal(price).scaleb(-4),
            "delta": Decimal(delta).scaleb(-2),
            "size": None if size is None else Decimal(size).scaleb(-2),
        }
        for frame, (price, delta, size) in enumerate(rows, 1)
    ]

    assert lines(deltas=table("deltas", *deltas)) == [
        f"1 Delta: A yes {price} delta={shown(delta)} => {'? (no base)' if size is None else shown(size)}"
        for price, delta, size in rows
    ]
