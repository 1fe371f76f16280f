"""Several JSON texts in one websocket message."""

from __future__ import annotations

import pytest
from fed import A, Fed, delta, frame, snapshot
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.protocol.texts import MOST, texts

LEVEL = ["0.5000", "10.00"]
OK = frame("ok", 0, id=4, msg=[])


@pytest.fixture
def fed() -> Fed:
    """A is whole on sid 1, last number 1, in frame 3."""
    fed = Fed(A)
    fed.frames(snapshot(1, A, yes=[LEVEL]))
    return fed


def deltas(*numbers: int) -> list[bytes]:
    return [delta(number, "0.5000", "1.00").strip() for number in numbers]


@pytest.mark.parametrize(
    "message",
    [
        b"\n".join(deltas(2, 3, 4)),
        b"\r\n\n".join(deltas(2, 3, 4)) + b"\n",
        b"".join(deltas(2, 3, 4)),
        b" ".join(deltas(2, 3, 4)),
        b"[" + b", ".join(deltas(2, 3, 4)) + b"]\n",
        b"[" + deltas(2)[0] + b"]" + b"".join(deltas(3, 4)),
    ],
)
def test_each_text_is_taken_and_the_rows_of_the_frame_are_numbered(fed: Fed, message: bytes) -> None:
    fed.frames(message, delta(5, "0.5000", "1.00"))

    assert fed.rows("deltas", "frame", "row", "seq", "size") == [
        *((4, row, 2 + row, f"{11 + row}.00") for row in range(3)),
        (5, 0, 5, "14.00"),
    ]
    tally = fed.builder.state.tally
    assert (tally.received, tally.decoded, tally.refused, tally.more) == (3, 3, 0, 2)
    assert tally.by_type == {"orderbook_delta": 4, "orderbook_snapshot": 1}
    assert (fed.rows("gaps", "cause"), fed.warnings) == ([], [])


def test_snapshots_in_one_frame_go_on_counting_rows(fed: Fed) -> None:
    fed.frames(
        b"".join([snapshot(2, A, yes=[LEVEL], no=[["0.4000", "1.00"]]), snapshot(3, A), snapshot(4, A, no=[LEVEL])])
    )

    assert fed.rows("snapshots", "frame", "row", "levels")[1:] == [(4, 0, 2), (4, 1, 2), (4, 2, 0), (4, 3, 1)]


@pytest.mark.parametrize(
    ("parts", "counted"),
    [
        ([*deltas(2), OK], (1, 0, 0, 0)),
        ([OK, OK], (0, 1, 0, 0)),
        ([b'{"type":"news"}', b'{"type":"news"}'], (0, 0, 1, 0)),
        ([b'{"type":"news"}', OK], (0, 1, 0, 0)),
        ([*deltas(2), b"{"], (0, 0, 0, 1)),
        ([b"1", b"2"], (0, 0, 0, 1)),
        ([OK, b"x"], (0, 0, 0, 1)),
    ],
)
def test_a_frame_counts_once(fed: Fed, parts: list[bytes], counted: tuple[int, ...]) -> None:
    fed.frames(b"\n".join(parts))

    tally = fed.builder.state.tally
    assert (tally.decoded - 1, tally.control, tally.unknown, tally.refused) == counted
    assert tally.received == 2 == tally.decoded + tally.control + tally.unknown + tally.refused


@pytest.mark.parametrize("bad", [b'{"type":"orderbook_delta","sid":1,"se', b"nonsense", b"\x00", b"[1]", b"{}"])
def test_what_can_be_read_is_read_and_the_rest_is_unreadable(fed: Fed, bad: bytes) -> None:
    fed.frames(b"\n".join([*deltas(2), bad, *deltas(3)]))

    assert fed.rows("deltas", "row", "size", "valid") == [(0, "11.00", True), (1, None, False)]
    assert fed.rows("gaps", "event", "cause", "markets") == [("opened", "unreadable", [A])]
    assert len([text for text in fed.warnings if text.startswith("Refused frame 4")]) == 1


def test_more_texts_than_a_message_has_are_none(fed: Fed) -> None:
    fed.frames(b"1 " * (MOST + 1))

    assert fed.builder.state.tally.refused == 1


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_byte_is_lost_but_white_space(data: bytes) -> None:
    parts = texts(data)

    if data[:1] != b"[" and b"\n[" not in data and parts != [data]:
        assert b"".join(b"".join(parts).split()) == b"".join(data.split()) or b"[" in data
