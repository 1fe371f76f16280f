"""Kalshi's decimal texts as exact integers: no float anywhere.

A price is in 1/10,000 dollar (`_e4`), a count in 1/100 contract (`_e2`), an exchange time in microseconds (`_us`). On
the wire prices have 4 decimals, counts 2, times 0 to 6 (950,000 deltas checked). Other lengths are read too, as long as
no digit of a price or count is lost, and counted for the census; what is finer than a microsecond is cut off.
"""

from __future__ import annotations

import datetime
import re

from kalshi_trio.errors import WireError

NULL = -(2**63)
"""Stands for "no value" among packed signed 64-bit integers."""

PRICE_LIMIT_E4 = 10**9
COUNT_LIMIT_E2 = 10**18
TIME_LIMIT_US = 7_258_118_400_000_000
"""The year 2200: every store's nanoseconds hold what lies before it."""
_CACHE_LIMIT = 20_000


def scaled(text: str, places: int) -> int:
    """The decimal `text` times 10 ** `places`, exactly; WireError if it is no decimal or has a digit beyond them."""
    whole, _, fraction = text.partition(".")
    digits = fraction.rstrip("0")
    sign = -1 if whole.startswith("-") else 1
    whole = whole.removeprefix("-")
    together = whole + fraction
    if not (together.isascii() and together.isdigit() and len(together) < 40):
        raise WireError(f"{text[:40]!r} is not a decimal number")
    if len(digits) > places:
        raise WireError(f"{text[:40]!r} has more than {places} decimals")
    return sign * int((whole or "0") + digits.ljust(places, "0"))


_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
"""A decimal, with an exponent or without; longer exponents belong to no number that a table holds."""


def exact(text: str, places: int) -> int:
    """As `scaled`, of a number that may have an exponent (`4.6e-1`), as JSON allows it."""
    if not (len(text) < 40 and _NUMBER.fullmatch(text)):
        raise WireError(f"{text[:40]!r} is not a decimal number")
    mantissa, _, exponent = text.lower().partition("e")
    if not exponent:
        return scaled(mantissa, places)
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    digits, point = whole + fraction, len(whole) + int(exponent)
    digits = "0" * -point + digits + "0" * (point - len(digits))
    point = max(point, 0)
    return scaled(f"{'-' * mantissa.startswith('-')}{digits[:point] or '0'}.{digits[point:]}", places)


def price_text(price_e4: int) -> str:
    """`0.9800`, as Kalshi writes it."""
    return f"{price_e4 // 10_000}.{price_e4 % 10_000:04}"


def count_text(count_e2: int) -> str:
    """`-0.37`, as Kalshi writes it."""
    sign, count = ("-", -count_e2) if count_e2 < 0 else ("", count_e2)
    return f"{sign}{count // 100}.{count % 100:02}"


class Decimals(dict[str, int]):
    """Texts → integers of 1/10 ** `places`, each worked out once; at most 20,000 are remembered.

    `numbers[text]` raises WireError unless `least` <= value < `limit`. `odd`: unusual number of decimals → how often
    it came; such texts are not remembered, so that each is counted.
    """

    def __init__(self, what: str, places: int, least: int, limit: int) -> None:
        super().__init__()
        self.what = what
        self.odd: dict[int, int] = {}
        self._places = places
        self._least = least
        self._limit = limit

    def within(self, value: int, text: str) -> int:
        """The value, or WireError if no row may have it."""
        if not self._least <= value < self._limit:
            raise WireError(f"{text[:40]!r} is no {self.what}")
        return value

    def __missing__(self, text: str) -> int:
        value = self.within(scaled(text, self._places), text)
        decimals = len(text.partition(".")[2])
        if decimals != self._places:
            self.odd[decimals] = self.odd.get(decimals, 0) + 1
            return value
        if len(self) >= _CACHE_LIMIT:
            self.clear()
        self[text] = value
        return value


def prices() -> Decimals:
    """Prices in 1/10,000 dollar, never negative."""
    return Decimals("price", 4, 0, PRICE_LIMIT_E4)


def counts() -> Decimals:
    """Counts in 1/100 contract, signed."""
    return Decimals("count", 2, 1 - COUNT_LIMIT_E2, COUNT_LIMIT_E2)


class Times:
    """RFC 3339 texts (`2026-03-14T01:44:34.77252Z`) → microseconds since 1970 (UTC), exactly.

    Consecutive texts mostly share their second, so that is remembered: to make an integer of a date takes longer than
    to read it. `odd` as in Decimals, for more than 6 decimals.
    """

    what = "time"

    def __init__(self) -> None:
        self.odd: dict[int, int] = {}
        self._second = _EPOCH
        self._second_us = 0

    def us(self, text: str) -> int:
        """0 (no time) for 1970 and before, Go's zero time among them; WireError if `text` is no time before 2200."""
        try:
            since = _read(text) - self._second
        except (ValueError, TypeError) as error:
            raise WireError(f"{text[:40]!r} is not a time") from error
        if since.seconds or since.days or len(text) > _USUAL:
            return self._other_us(text)
        return self._second_us + since.microseconds

    def _other_us(self, text: str) -> int:
        """A text of another second than the one before, or a longer one."""
        since = _read(text) - _EPOCH
        us = max(since // _MICROSECOND, 0)
        if us >= TIME_LIMIT_US:
            raise WireError(f"{text[:40]!r} lies too far ahead")
        if us:
            self._second = _EPOCH + datetime.timedelta(since.days, since.seconds)
            self._second_us = us - since.microseconds
        decimals = len(text[20:]) - len(text[20:].lstrip("0123456789"))
        if decimals > 6:
            self.odd[decimals] = self.odd.get(decimals, 0) + 1
        return us


_read = datetime.datetime.fromisoformat
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_USUAL = len("2026-03-14T01:44:34.772520Z")
