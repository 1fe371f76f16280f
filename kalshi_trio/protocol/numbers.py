"""Kalshi's decimal texts as exact integers: no float anywhere.

A price is in 1/10,000 dollar (`_e4`), a count in 1/100 contract (`_e2`), an exchange time in microseconds (`_us`). On
the wire prices have 4 decimals, counts 2, times 0 to 6 (950,000 deltas checked); other lengths are read too, as long as no
digit is lost, and reported to the census.
"""

from __future__ import annotations

import datetime

from kalshi_trio.errors import WireError

NULL = -(2**63)
"""Stands for "no value" among packed signed 64-bit integers."""

PRICE_LIMIT_E4 = 10**9
COUNT_LIMIT_E2 = 10**18
TIME_LIMIT_MS = 253_402_300_800_000
"""The year 10,000."""
_CACHE_LIMIT = 20_000


def scaled(text: str, places: int) -> int:
    """The decimal `text` times 10 ** `places`, exactly; WireError if it is no decimal or has a digit beyond them."""
    whole, _, fraction = text.partition(".")
    digits = fraction.rstrip("0")
    sign = -1 if whole.startswith("-") else 1
    whole = whole.removeprefix("-")
    if len(digits) > places:
        raise WireError(f"{text[:40]!r} has more than {places} decimals")
    together = whole + fraction
    if not (together.isascii() and together.isdigit() and len(together) < 40):
        raise WireError(f"{text[:40]!r} is not a decimal number")
    return sign * int((whole or "0") + digits.ljust(places, "0"))


class Prices(dict[str, int]):
    """Price texts → 1/10,000 dollar, each worked out once; at most 20,000 are remembered.

    Texts with another number of decimals than 4 are kept in `odd`, for the census.
    """

    def __init__(self) -> None:
        super().__init__()
        self.odd: set[int] = set()

    def __missing__(self, text: str) -> int:
        value = scaled(text, 4)
        if not 0 <= value < PRICE_LIMIT_E4:
            raise WireError(f"{text[:40]!r} is no price")
        decimals = len(text.partition(".")[2])
        if decimals != 4:
            self.odd.add(decimals)
        if len(self) < _CACHE_LIMIT:
            self[text] = value
        return value


class Counts(dict[str, int]):
    """Count texts → 1/100 contract, signed, each worked out once; at most 20,000 are remembered, `odd` as in Prices."""

    def __init__(self) -> None:
        super().__init__()
        self.odd: set[int] = set()

    def __missing__(self, text: str) -> int:
        value = scaled(text, 2)
        if not -COUNT_LIMIT_E2 < value < COUNT_LIMIT_E2:
            raise WireError(f"{text[:40]!r} is no count of contracts")
        if text[-3:-2] != ".":
            self.odd.add(len(text.partition(".")[2]))
        if len(self) < _CACHE_LIMIT:
            self[text] = value
        return value


class Times:
    """RFC 3339 texts (`2026-03-14T01:44:34.77252Z`, 0 to 6 decimals) → microseconds since 1970 (UTC), exactly.

    Consecutive texts mostly share their second, so that is remembered.
    """

    def __init__(self) -> None:
        self._second = ""
        self._second_us = 0

    def us(self, text: str) -> int:
        """WireError if `text` is no such time or finer than a microsecond."""
        if text[:19] != self._second:
            self._second_us = _second_us(text[:19])
            self._second = text[:19]
        digits = text[20:-1]
        if digits.isdigit() and text[19] == "." and text[-1] == "Z" and len(digits) <= 6:
            return self._second_us + int(digits) * _SCALE[len(digits)]
        return self._second_us if text[19:] == "Z" else _odd_us(text)


_SCALE = (1_000_000, 100_000, 10_000, 1_000, 100, 10, 1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def _second_us(text: str) -> int:
    try:
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise WireError(f"{text[:40]!r} is not a time") from error
    return (moment - _EPOCH) // _MICROSECOND


def _odd_us(text: str) -> int:
    """Other offsets than Z, or finer digits that are all zero: read by the standard library, or refused."""
    digits = text[20:].rstrip("Z")
    if digits.isdigit() and len(digits) > 6 and digits[6:].strip("0"):
        raise WireError(f"{text[:40]!r} is finer than a microsecond")
    try:
        moment = datetime.datetime.fromisoformat(text)
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, TypeError) as error:
        raise WireError(f"{text[:40]!r} is not a time") from error
