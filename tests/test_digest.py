"""The digest of a table: the same for the same rows however they were cut, and as the contract spells it out."""

from __future__ import annotations

import datetime
import hashlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.digest import TableDigest, session_digest
from kalshi_trio.protocol.schema import ROW_SCHEMAS

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_decimal(kind):
        return st.integers(-(10**8), 10**8).map(lambda n: Decimal(n).scaleb(-kind.scale))
    if pa.types.is_timestamp(kind):
        return st.integers(0, 2**40)
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_string(kind):
        return st.text(max_size=5)
    if pa.types.is_list(kind):
        return st.lists(st.text(max_size=3), max_size=3)
    return st.integers(-(2**63), 2**63 - 1) if pa.types.is_signed_integer(kind) else st.integers(0, 2**32 - 1)


def rows(schema: pa.Schema) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = {field.name: st.none() | values(field.type) if field.nullable else values(field.type) for field in schema}
    return st.lists(st.fixed_dictionaries(one), max_size=8)


def slow(schema: pa.Schema, table: list[dict[str, Any]]) -> str:
    """The contract's words, one value at a time."""
    whole = hashlib.sha256()
    for field in schema:
        column = [row[field.name] for row in table]
        streams: list[bytes] = []
        if field.nullable:
            streams.append(bytes(value is not None for value in column))
        streams += _streams(field.type, column)
        for stream in streams:
            whole.update(hashlib.sha256(stream).digest())
    return whole.hexdigest()


def _streams(kind: pa.DataType, column: list[Any]) -> list[bytes]:
    if pa.types.is_string(kind):
        texts = [(value or "").encode() for value in column]
        return [b"".join(len(text).to_bytes(4, "little") for text in texts), b"".join(texts)]
    if pa.types.is_list(kind):
        lengths = b"".join(len(value or ()).to_bytes(4, "little") for value in column)
        return [lengths, *_streams(kind.value_type, [item for value in column for item in value or ()])]
    if pa.types.is_decimal(kind):
        numbers = [int((value or Decimal(0)).scaleb(kind.scale)) for value in column]
        return [b"".join(n.to_bytes(8, "little", signed=True) for n in numbers)]
    width = 1 if pa.types.is_boolean(kind) else kind.bit_width // 8
    return [b"".join((int(value or 0) % 2 ** (8 * width)).to_bytes(width, "little") for value in column)]


@pytest.mark.parametrize("table", ROW_SCHEMAS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_it_is_what_the_contract_says_however_the_rows_are_cut(table: str, data: st.DataObject) -> None:
    schema = ROW_SCHEMAS[table]
    given_rows = data.draw(rows(schema))
    cut = data.draw(st.integers(0, len(given_rows)))
    digest = TableDigest(table)
    for part in (given_rows[:cut], given_rows[cut:]):
        digest.update(pa.Table.from_pylist(part, schema=schema))

    assert digest.hexdigest() == slow(schema, given_rows)


def test_a_slice_of_a_table_has_the_digest_of_its_rows() -> None:
    schema = ROW_SCHEMAS["gaps"]
    row = {
        f.name: None if f.nullable else ["x"] if pa.types.is_list(f.type) else "a" if pa.types.is_string(f.type) else 7
        for f in schema
    }
    table = pa.Table.from_pylist([row | {"frame": n, "markets": [str(n)] * n} for n in range(6)], schema=schema)
    sliced, plain = TableDigest("gaps"), TableDigest("gaps")
    sliced.update(table.slice(2, 3))
    plain.update(pa.Table.from_pylist(table.slice(2, 3).to_pylist(), schema=schema))

    assert sliced.hexdigest() == plain.hexdigest()


def test_the_digest_of_a_session_is_that_of_its_segments_in_order() -> None:
    one, two = "11" * 32, "22" * 32

    assert session_digest([one, two]) == hashlib.sha256(bytes.fromhex(one + two)).hexdigest()
    assert session_digest([one, two]) != session_digest([two, one])


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    for segment, first in ((2, 100), (3, 200)):
        checkpoints.save(tmp_path, Checkpoint(segment, first, b"state" * segment))
    path = tmp_path / "000003.checkpoint"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    assert checkpoints.nearest(tmp_path, 500) == Checkpoint(2, 100, b"state" * 2)
    assert checkpoints.nearest(tmp_path, 99) == Checkpoint(2, 100, b"state" * 2)
    assert checkpoints.nearest(tmp_path, 98) is None
