"""Counts of what nobody has seen before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.protocol.census import LIMIT, Census


def test_types_and_precisions_are_counted() -> None:
    census = Census()
    for _ in range(3):
        census.type("news")
    census.precision("count", 3, 5)
    census.precision("count", 3, 2)

    assert census.types == {"news": 3}
    assert census.precisions == {"count with 3 decimals": 7}
    assert census.lines() == ["type news", "precision count with 3 decimals"]


def test_a_long_name_is_kept_by_its_beginning() -> None:
    census = Census()
    census.type("x" * 10_000)

    assert census.types == {"x" * 100: 1}


@given(st.lists(st.tuples(st.sampled_from(["type", "precision", "field"]), st.text(max_size=150)), max_size=LIMIT * 3))
def test_what_is_kept_is_bounded(invented: list[tuple[str, str]]) -> None:
    census = Census()
    for what, name in invented * 2:
        if what == "type":
            census.type(name)
        elif what == "precision":
            census.precision(name, 3, 1)
        else:
            census.field("trade", {name, f"{name}2"})

    kept = len(census.types) + len(census.precisions) + sum(map(len, census.fields.values()))
    assert kept == census.size <= LIMIT
    assert len(census.lines()) == kept


def test_names_beyond_the_bound_are_only_counted() -> None:
    census = Census()
    for number in range(LIMIT + 7):
        census.type(f"t{number}")
    census.type("t0")

    assert census.beyond == 7
    assert census.types["t0"] == 2
