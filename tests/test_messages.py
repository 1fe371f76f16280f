"""Frames of all eras as messages; what is unknown is told, what cannot be read is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import recordings
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.errors import WireError
from kalshi_trio.protocol import messages as m
from kalshi_trio.protocol.census import LIMIT, UNUSED, Census
from kalshi_trio.protocol.decoder import BAD, Decoder

DELTA = {
    "market_ticker": "A",
    "price_dollars": "0.9800",
    "delta_fp": "5.00",
    "side": "yes",
    "ts": "2026-11-24T18:00:00.1Z",
}


def of(msg: Any, kind: str = "orderbook_delta", /, **more: Any) -> bytes:
    """A frame with that `msg`."""
    return msgspec.json.encode({"type": kind, "sid": 1, "seq": 2, "msg": msg} | more)


def read(decoder: Decoder, data: bytes) -> Any:
    """As the builder does it."""
    try:
        if not data.isascii():
            data.decode()
        return decoder.decode(data)
    except BAD:
        return decoder.odd(data)


def refusal(decoder: Decoder, data: bytes) -> str | None:
    """Why the frame was refused, None if it was not."""
    try:
        message = read(decoder, data)
    except WireError as error:
        return str(error)
    return message.why if isinstance(message, m.Unfit) else None


@pytest.fixture
def census() -> Census:
    return Census()


@pytest.fixture
def decoder(census: Census) -> Decoder:
    return Decoder(census)


@recordings.needed
def test_every_sample_of_the_protocol_is_read_without_a_surprise(decoder: Decoder, census: Census) -> None:
    for line in (recordings.FOLDER / "protocol_samples.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if sample["dir"] == "server":
            message = decoder.decode(msgspec.json.encode(sample["frame"]))

            assert isinstance(message, m.TYPES[sample["frame"]["type"]]), sample["what"]
            assert message.seq == sample["frame"].get("seq", 0)
    assert census == Census()


@recordings.needed
@pytest.mark.parametrize("name", [*recordings.NAMES, "tickers_2026-02.jsonl", "trades_2026-02.jsonl"])
def test_every_recorded_frame_is_read_without_a_surprise(name: str, decoder: Decoder, census: Census) -> None:
    for line in recordings.lines(name, 2000):
        if line.frame:
            decoder.decode(line.frame)
    assert census == Census()


def test_fields_that_a_message_lacks_are_none(decoder: Decoder) -> None:
    message = decoder.decode(of({"market_ticker": "A", "price": 31, "delta": -25, "side": "yes"}))

    assert isinstance(message, m.DeltaFrame)
    assert (message.msg.price, message.msg.delta, message.msg.price_dollars, message.msg.ts) == (31, -25, None, None)


def test_the_newline_at_a_frames_end_is_no_part_of_it(decoder: Decoder) -> None:
    assert decoder.decode(of(DELTA) + b"\n") == decoder.decode(of(DELTA))


def test_a_type_change_of_an_unused_field_refuses_nothing(decoder: Decoder, census: Census) -> None:
    for odd in (None, 7, [1, {"a": 2}], "x"):
        assert isinstance(decoder.decode(of(DELTA | {"market_id": odd})), m.DeltaFrame)
    assert census == Census()


def test_a_new_field_is_learnt_counted_and_costs_no_frame(decoder: Decoder, census: Census) -> None:
    for _ in range(3):
        message = read(decoder, of(DELTA | {"shard": 3}, epoch="e"))
        assert isinstance(message, m.DeltaFrame)
        assert message.msg.delta_fp == "5.00"
    read(decoder, of(DELTA))

    assert census.fields == {"orderbook_delta.": {"epoch": 3}, "orderbook_delta": {"shard": 3}}
    assert census.lines() == ["field orderbook_delta.epoch", "field orderbook_delta.msg.shard"]


def test_a_learnt_field_is_read_at_the_first_try(decoder: Decoder) -> None:
    decoder.odd(of(DELTA | {"shard": 3}))

    assert isinstance(decoder.decode(of(DELTA | {"shard": 4})), m.DeltaFrame)


@given(st.lists(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(), max_size=4), max_size=4))
def test_no_name_of_a_new_field_breaks_anything(added: list[dict[str, object]]) -> None:
    census = Census()
    decoder = Decoder(census)
    for new in added:
        message = read(
            decoder, of(new | DELTA, **{k: v for k, v in new.items() if k not in ("type", "sid", "seq", "id", "msg")})
        )
        assert isinstance(message, m.DeltaFrame)
        assert message.msg.delta_fp == "5.00"


@pytest.mark.parametrize(
    "name", ["class", "__init__", "__class__", "__struct_fields__", "self", "learnt_0", "a-b", "", "é", "x" * 5000]
)
def test_a_hostile_name_of_a_field_breaks_nothing(name: str, decoder: Decoder) -> None:
    for _ in range(2):
        assert isinstance(read(decoder, of(DELTA | {name: 1})), m.DeltaFrame)


def test_invented_fields_are_bounded_and_frames_are_still_read(decoder: Decoder, census: Census) -> None:
    for number in range(LIMIT + 50):
        assert isinstance(read(decoder, of(DELTA | {f"f{number}": 1})), m.DeltaFrame)

    assert len(census.fields["orderbook_delta"]) == LIMIT
    assert census.beyond == 50


def test_a_census_from_a_checkpoint_goes_on(decoder: Decoder, census: Census) -> None:
    read(decoder, of(DELTA | {"shard": 3}))
    census = msgspec.msgpack.decode(msgspec.msgpack.encode(census), type=Census)

    assert isinstance(Decoder(census).decode(of(DELTA | {"shard": 3})), m.DeltaFrame)
    assert census.fields == {"orderbook_delta": {"shard": 2}}


def test_an_unknown_type_keeps_its_sid_and_seq(decoder: Decoder, census: Census) -> None:
    message = read(decoder, of({"a": 1}, "quantum_update"))

    assert message == m.Unknown("quantum_update", 1, 2)
    assert census.types == {"quantum_update": 1}


@pytest.mark.parametrize("numbers", [{"sid": -1, "seq": 2**63}, {"sid": "x", "seq": None}, {"sid": True, "seq": 1.5}])
def test_an_unknown_types_odd_numbers_are_none(decoder: Decoder, numbers: dict[str, object]) -> None:
    assert read(decoder, of({}, "quantum_update", **numbers)) == m.Unknown("quantum_update", 0, 0)


@pytest.mark.parametrize(
    "msg",
    [
        DELTA | {"price_dollars": 0.98001},
        DELTA | {"price_dollars": ["0.98"], "price": 98},
        DELTA | {"price_dollars": None, "price": "98"},
        DELTA | {"delta_fp": True},
        DELTA | {"delta_fp": 1e300},
        DELTA | {"side": "maybe"},
        DELTA | {"side": None},
        DELTA | {"side": "bid", "price": "0.98", "delta": "5.00"},
    ],
)
def test_an_unfit_message_of_a_known_type_still_says_whose_it_is(decoder: Decoder, msg: dict[str, object]) -> None:
    message = read(decoder, of(msg))

    assert isinstance(message, m.Unfit)
    assert (message.type, message.sid, message.seq, message.market) == ("orderbook_delta", 1, 2, "A")
    assert message.why


@pytest.mark.parametrize("msg", ["text", [1], 5, None, {"side": "yes"}, {"market_ticker": 5}])
def test_an_unfit_message_without_a_market_says_so(decoder: Decoder, msg: Any) -> None:
    message = read(decoder, of(msg))

    assert isinstance(message, m.Unfit)
    assert message.market == ""


@pytest.mark.parametrize(
    "numbers", [{"seq": -1}, {"seq": 2**62}, {"seq": 1.5}, {"seq": []}, {"sid": 2**32}, {"sid": "one"}, {"sid": -1}]
)
def test_impossible_numbers_of_a_frame_are_none_and_cost_no_frame(decoder: Decoder, numbers: dict[str, object]) -> None:
    message = read(decoder, of(DELTA, **numbers))

    assert isinstance(message, m.DeltaFrame)
    assert message.msg.delta_fp == "5.00"
    assert (message.sid, message.seq) == (0 if "sid" in numbers else 1, 0 if "seq" in numbers else 2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\x00\x01\x02",
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"type":"ok"}',
        b"{",
        b"null",
        b"[]",
        b'"orderbook_delta"',
        b"{}",
        b'{"type":5}',
        b'{"type":null}',
        b'{"type":"ok"} x',
        b'{"type":"ok","id":NaN}',
        b'{"type":"ok","msg":"\\ud800"}',
        b'{"type":"ok","msg":"\xc3("}',
        b"[" * 100_000,
        b'{"type":' * 50_000,
        b'{"type":"ok","msg":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(decoder: Decoder, data: bytes) -> None:
    assert refusal(decoder, data)


@given(st.binary(max_size=60) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    decoder = Decoder(Census())
    for some in (data, b'{"type":"' + data + b'"}', of(DELTA).replace(b"0.9800", data)):
        assert refusal(decoder, some) != ""


def test_a_field_given_twice_is_one_field(decoder: Decoder) -> None:
    message = read(decoder, b'{"type":"ok","id":1,"id":2}')

    assert message.id == 2


def test_unused_fields_are_one_and_the_same_object(decoder: Decoder) -> None:
    message = decoder.decode(of(DELTA))

    assert isinstance(message, m.DeltaFrame)
    assert message.msg.market_id is UNUSED
