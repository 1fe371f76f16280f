"""Decimal texts and times as exact integers."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.numbers import Times, counts, prices, scaled


@given(st.integers(-(10**18), 10**18), st.integers(0, 6))
def test_a_scaled_decimal_is_exact(value: int, places: int) -> None:
    assert value == scaled(format(Decimal(value).scaleb(-places), "f"), places)


@given(st.integers(0, 10**8), st.integers(0, 10))
def test_zeros_behind_a_decimal_change_nothing(value: int, zeros: int) -> None:
    text = f"{value // 100}.{value % 100:02}"

    assert scaled(text, 2) == scaled(text + "0" * zeros, 2)


@pytest.mark.parametrize("text", ["0.96", "0.960", ".96", "00.9600"])
def test_texts_of_one_price_are_one_price(text: str) -> None:
    assert prices()[text] == 9600


@given(st.text())
def test_any_text_is_a_number_or_refused(text: str) -> None:
    for numbers in (prices(), counts()):
        try:
            value = numbers[text]
        except WireError:
            continue
        assert Decimal(value) == Decimal(text).scaleb(4 if numbers.what == "price" else 2)


@pytest.mark.parametrize(
    "text", ["", ".", "-", "+1", "1e3", " 1", "1_0", "٣", "²", "--1", "0x1", "nan", "inf", "1.2.3", "9" * 5000]
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    for numbers in (prices(), counts()):
        with pytest.raises(WireError):
            numbers[text]


def test_a_digit_is_never_lost() -> None:
    with pytest.raises(WireError, match="more than 4 decimals"):
        prices()["0.98765"]
    with pytest.raises(WireError, match="more than 2 decimals"):
        counts()["1.001"]


def test_what_the_tables_cannot_hold_is_refused() -> None:
    assert prices()["99999.9999"] == 10**9 - 1
    assert counts()["-9999999999999999.99"] == 1 - 10**18
    for text in ("100000", "-0.0001"):
        with pytest.raises(WireError, match="is no price"):
            prices()[text]
    with pytest.raises(WireError, match="is no count"):
        counts()["10000000000000000"]


def test_unusual_numbers_of_decimals_are_counted_each_time() -> None:
    numbers = counts()
    for text in ("5.00", "5", "5", "5.000"):
        assert numbers[text] == 500
    assert numbers.odd == {0: 2, 3: 1}


def test_remembered_numbers_are_bounded() -> None:
    numbers = counts()
    for value in range(30_000):
        assert numbers[f"{value}.00"] == value * 100
    assert len(numbers) <= 20_000


_MOMENTS = st.datetimes(
    datetime.datetime(1970, 1, 2),  # noqa: DTZ001 -- gets its zone below
    datetime.datetime(2199, 12, 31),  # noqa: DTZ001 -- the same
    timezones=st.just(datetime.UTC),
)


@given(st.lists(st.tuples(_MOMENTS, st.integers(0, 6))))
def test_times_are_exact_with_0_to_6_digits(moments: list[tuple[datetime.datetime, int]]) -> None:
    times = Times()
    for moment, digits in moments:
        cut = moment.replace(microsecond=moment.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
        text = f"{cut:%Y-%m-%dT%H:%M:%S}" + f".{cut:%f}"[: digits + 1 if digits else 0] + "Z"

        assert times.us(text) == (cut - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(
            microseconds=1
        )
    assert times.odd == {}


def test_a_finer_time_is_cut_and_counted() -> None:
    times = Times()
    exact = times.us("2026-03-14T01:44:34.123456Z")

    assert times.us("2026-03-14T01:44:34.123456789Z") == exact
    assert times.us("2026-03-14T02:44:34.1234567+01:00") == exact
    assert times.odd == {9: 1, 7: 1}


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_a_zero_time_is_no_time(text: str) -> None:
    assert Times().us(text) == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-03-14", "2026-03-14T01:44:34", "2026-03-14T01:44:34.²Z", "2026-02-30T01:44:34Z", "9" * 9999),
        *("2200-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-03-14T01:44:60Z", "2026-03-14T01:44:34.1_2Z"),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    times = Times()
    times.us("2026-03-14T01:44:34.77252Z")

    with pytest.raises(WireError):
        times.us(text)


@given(st.text(alphabet="0123456789-:.TZ+ ", max_size=40))
def test_a_time_does_not_depend_on_the_one_before(text: str) -> None:
    fresh, used = Times(), Times()
    used.us("2026-03-14T01:44:34.77252Z")

    assert _us(fresh, text) == _us(used, text)


def _us(times: Times, text: str) -> int | str:
    try:
        return times.us(text)
    except WireError as error:
        return str(error)
