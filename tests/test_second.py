"""The second reading: what a book does not need never costs it, what it needs is exact or refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from fed import A, B, Fed, delta, frame, snapshot
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.numbers import exact

LEVEL = ["0.5000", "10.00"]
DELTA: dict[str, Any] = {
    "market_ticker": A,
    "market_id": "x",
    "price_dollars": "0.4600",
    "delta_fp": "1.00",
    "side": "yes",
    "ts": "2026-11-24T05:01:02.1Z",
    "ts_ms": 1795496462100,
}
SNAPSHOT: dict[str, Any] = {"market_ticker": A, "yes_dollars_fp": [["0.4600", "2.00"]], "no_dollars_fp": [LEVEL]}


@pytest.fixture
def fed() -> Fed:
    """Both books whole on sid 1, last number 2."""
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[["0.4600", "2.00"]], no=[LEVEL]), snapshot(2, B, yes=[LEVEL]))
    return fed


def each(name: str, *values: Any) -> list[dict[str, Any]]:
    """The field with each of the values."""
    return [{name: value} for value in values]


UNNEEDED: list[dict[str, Any]] = [
    *each("ts", None, 5, 1.5, "soon", "", [], {"a": 1}, True, "2999-01-01T00:00:00Z"),
    *each("ts_ms", None, "1795496462100", 1.5, -5, 10**17, 10**40, [], "x", 1795496462100.0),
    {"ts": None, "ts_ms": None},
    {"ts": [], "ts_ms": []},
    *each("market_id", None, 7, [], {}),
    *each("client_order_id", None, 7, []),
    *each("subaccount", None, 7, []),
    *each("new", None, 1e300, [1.5], {"a": []}, "x", True),
    *each("price_dollars", 0.46, "0.46", 0.4600, "4.6e-1", msgspec.Raw(b"46e-2"), "000.46"),
    *[{"price_dollars": None} | one for one in each("price", 46, 46.0, msgspec.Raw(b"4.6e1"))],
    *each("price", None, "46", 46.5, [], True),
    *each("delta_fp", 1, 1.0, "1", "1e0", msgspec.Raw(b"10e-1"), msgspec.Raw(b"0.1E+1")),
    *each("delta", "1", 1.5, []),
]


@pytest.mark.parametrize("change", UNNEEDED, ids=lambda change: msgspec.json.encode(change).decode())
def test_a_field_that_the_book_does_not_need_never_costs_it(fed: Fed, change: dict[str, Any]) -> None:
    fed.frames(frame("orderbook_delta", 1, 3, msg=DELTA | change), delta(4, "0.4600", "1.00"))

    assert fed.rows("deltas", "price", "delta", "size", "valid") == [
        ("0.4600", "1.00", "3.00", True),
        ("0.4600", "1.00", "4.00", True),
    ]
    assert (fed.rows("gaps"), fed.warnings, fed.builder.state.tally.refused) == ([], [], 0)


@pytest.mark.parametrize(
    "head",
    [
        {"id": None},
        {"id": "7"},
        {"id": 1.5},
        {"id": []},
        {"seq": "3"},
        {"seq": 3.0},
        {"sid": "1"},
        {"sid": 1.0},
        {"sid": None},
        {"sid": []},
        {"sending_ts_ms": None},
        {"sending_ts_ms": "soon"},
        {"sending_ts_ms": 1795496462101},
        {"surprise": [1, {}]},
    ],
    ids=str,
)
def test_a_frames_own_members_never_cost_a_book(fed: Fed, head: dict[str, Any]) -> None:
    message = {"type": "orderbook_delta", "sid": 1, "seq": 3, "msg": DELTA}
    fed.frames(msgspec.json.encode(message | head), delta(4, "0.4600", "1.00"))

    assert fed.rows("deltas", "size", "valid") == [("3.00", True), ("4.00", True)]
    assert (fed.rows("gaps"), fed.warnings) == ([], [])


@pytest.mark.parametrize("nothing", [{"seq": None}, {"seq": "x"}, {"seq": -1}, {}])
@pytest.mark.parametrize("following", [3, 4])
def test_a_frame_without_its_number_took_the_next_one_or_none(
    fed: Fed, nothing: dict[str, Any], following: int
) -> None:
    fed.frames(frame("orderbook_delta", 1, msg=DELTA, **nothing), delta(following, "0.4600", "1.00"))

    assert fed.rows("deltas", "seq", "size", "valid") == [(0, "3.00", True), (following, "4.00", True)]
    assert fed.rows("gaps") == []


def test_a_frame_without_its_number_hides_no_gap(fed: Fed) -> None:
    fed.frames(frame("orderbook_delta", 1, None, seq=None, msg=DELTA), delta(5, "0.4600", "1.00"))

    assert fed.rows("gaps", "cause", "expected", "got") == [("sequence", 3, 5)]
    fed.frames(delta(6, "0.4600", "1.00"), delta(8, "0.4600", "1.00"))
    assert fed.builder.state.gaps_repeated == 1


def test_a_snapshot_without_a_sid_is_of_the_only_subscription_to_books(fed: Fed) -> None:
    fed.frames(frame("orderbook_snapshot", 0, 3, msg=SNAPSHOT), delta(4, "0.4600", "1.00"))

    assert fed.rows("deltas", "size", "valid") == [("3.00", True)]
    assert fed.rows("gaps") == []


def test_a_time_that_cannot_be_read_inside_an_instant_costs_no_crossed_book(fed: Fed) -> None:
    fed.frames(
        delta(3, "0.6000", "1.00"),
        frame("orderbook_delta", 1, 4, msg=DELTA | {"ts": "?", "ts_ms": None, "price_dollars": "0.0100"}),
        delta(5, "0.6000", "-1.00"),
        delta(6, "0.4600", "1.00", at=".2"),
    )

    assert (fed.rows("gaps"), fed.warnings) == ([], [])
    assert fed.rows("deltas", "valid") == [True] * 4


SIDES: list[dict[str, Any]] = [
    {"yes_dollars_fp": [[0.46, 2]]},
    {"yes_dollars_fp": [[0.46, "2.00"]]},
    {"yes_dollars_fp": [["0.46", 2.0]]},
    {"yes_dollars_fp": [["0.4600", "2.00"]], "yes": "?", "yes_dollars": {}},
    {"yes_dollars_fp": None, "yes_dollars": [["0.4600", 2]]},
    {"yes_dollars_fp": [], "yes": [[46, 2.0]]},
    {"yes_dollars_fp": [["0.4600", "2.00"]], "market_id": None},
    {"yes_dollars_fp": [["0.4600", "2.00"]], "orders": [[1, 2]], "depth": {"a": 1}},
]


@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_a_snapshot_is_read_as_what_it_says(sides: dict[str, Any]) -> None:
    fed = Fed(A)
    fed.frames(frame("orderbook_snapshot", 1, 1, msg=SNAPSHOT | sides), delta(2, "0.4600", "1.00"))

    assert fed.rows("snapshots", "side", "price", "size") == [("yes", "0.4600", "2.00"), ("no", "0.5000", "10.00")]
    assert fed.rows("deltas", "size", "valid") == [("3.00", True)]


@pytest.mark.parametrize("nothing", [None, [], "absent"])
@pytest.mark.parametrize("beside", [{}, {"depth": 5, "shard": "a", "flag": None}])
def test_a_side_that_is_not_there_is_an_empty_one(nothing: Any, beside: dict[str, Any]) -> None:
    msg = {key: value for key, value in (SNAPSHOT | {"yes_dollars_fp": nothing} | beside).items() if value != "absent"}
    fed = Fed(A)
    fed.frames(frame("orderbook_snapshot", 1, 1, msg=msg), delta(2, "0.4600", "1.00"))

    assert fed.rows("snapshots", "levels", "side") == [(1, "no")]
    assert fed.rows("deltas", "size", "valid") == [("1.00", True)]


RENAMED: list[dict[str, Any]] = [
    {"yes_bids": [LEVEL], "yes_asks": [LEVEL]},
    {"bid": [{"price": "0.5", "count": "1"}], "ask": []},
    {"bid": [], "ask": []},
    {"book": {"yes": [LEVEL]}},
    {"yes_dollars_fp": [LEVEL], "no_levels": [LEVEL]},
    {"yes_dollars_fp": None, "no_dollars_fp": [], "sides": {}},
    {"yes_dollars_fp": "[]"},
    {"yes_dollars_fp": {"0.5000": "10.00"}},
    {"yes_dollars_fp": [{"price": "0.5000", "count": "10.00"}]},
    {"yes_dollars_fp": [["0.50005", "10.00"]]},
    {"yes": [["50", "10"]]},
]


@pytest.mark.parametrize("sides", RENAMED, ids=str)
@pytest.mark.parametrize("known", [False, True])
def test_a_snapshot_whose_sides_nobody_can_tell_is_no_empty_book(sides: dict[str, Any], known: bool) -> None:
    fed = Fed(A)
    if known:
        fed.frames(snapshot(1, A, yes=[LEVEL]))
    for number in range(3):
        fed.frames(frame("orderbook_snapshot", 1, known + 1 + number, msg={"market_ticker": A} | sides))
    fed.frames(delta(known + 4, "0.4600", "10.00"))

    assert len(fed.rows("snapshots", "frame")) == known
    assert fed.rows("deltas", "size", "valid") == [(None, False)]
    assert fed.rows("gaps", "event", "cause", "channel", "markets") == [
        ("opened", "unreadable", "orderbook_delta", [A])
    ]
    assert fed.builder.state.tally.refused == 3


def test_sides_beside_the_message_make_no_empty_book_either() -> None:
    fed = Fed(A)
    fed.frames(frame("orderbook_snapshot", 1, 1, msg={"market_ticker": A}, yes_dollars_fp=[LEVEL]))

    assert fed.rows("gaps", "cause") == ["unreadable"]


def test_what_came_in_another_form_is_in_the_census(fed: Fed) -> None:
    fed.frames(frame("orderbook_delta", 1, 3, id=None, msg=DELTA | {"price_dollars": 0.46, "ts": 5}))
    fed.frames(frame("orderbook_delta", 1, 4, msg=DELTA | {"price_dollars": 0.46, "new": 1}))

    assert fed.builder.state.census.counts() == {
        "field orderbook_delta.msg.new": 1,
        "form orderbook_delta.id as null": 1,
        "form orderbook_delta.msg.price_dollars as number": 2,
        "form orderbook_delta.msg.ts as unreadable number": 1,
    }


def test_a_snapshots_new_fields_are_counted_each_time(fed: Fed) -> None:
    for seq in (3, 4):
        fed.frames(frame("orderbook_snapshot", 1, seq, msg=SNAPSHOT | {"depth": 5}))

    assert fed.builder.state.census.counts() == {"field orderbook_snapshot.msg.depth": 2}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_an_exponent_changes_no_number(number: Decimal) -> None:
    whole = int(number.scaleb(4))

    for text in (f"{whole}e-4", f"{whole * 10}E-5", f"{number:f}", f"{number:e}", f"{number:E}"):
        if len(text) < 40:
            assert exact(text, 4) == whole


@pytest.mark.parametrize(
    "text", ["", ".", "-", "e5", "1e", "1e+", "1e9999", "0x1", "NaN", "1_0", "\uff11", "1.00001", "1e-5"]
)
def test_what_is_no_such_number_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        exact(text, 4)
