"""When a line was recorded, as its writer put it: no unit is guessed.

A key says its unit (`recv_ns`, `received_ms`, …), or its value does (ISO 8601), or whoever imports it does; a number
of which nobody says what it counts is a mistake to be told, not a time.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec import Raw

from kalshi_trio.errors import UsageError

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds of each unit."""
PASSED = "none"
LIMIT_NS = 7_258_118_400_000_000_000
"""The year 2200: every store's nanoseconds hold what lies before it."""

_KEY = re.compile(
    r"(?P<mine>recv|rcv|rx|received?|local|arrival|captured?|recorded)?_?(?:at|ts|time|timestamp|t)?"
    r"(?:_(?P<unit>ns|nanos|us|micros|ms|millis|s|sec|secs|seconds))?",
    re.IGNORECASE,
)
_WORDS = {"nanos": "ns", "micros": "us", "millis": "ms", "sec": "s", "secs": "s", "seconds": "s"}
_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*(Z|[+-]\d\d:?\d\d)?")
_BARE = {"ts", "time", "timestamp", "t"}


class NoUnit(UsageError):
    """A number that may be seconds or anything else."""


@functools.lru_cache(maxsize=1_000)
def _meaning(key: str) -> tuple[int, str] | None:
    """How good a key is as a time of receipt (less is better), and its unit; None: it is no time."""
    found = _KEY.fullmatch(key)
    if not found or not key or not (found["mine"] or found["unit"] or key.lower() in _BARE):
        return None
    unit = (found["unit"] or "").lower()
    if not found["mine"] and key.lower().removesuffix(f"_{unit}") not in _BARE:
        return None
    return (0 if found["mine"] else 2) + (not unit), _WORDS.get(unit, unit)


def received_ns(thing: Mapping[str, Raw], unit: str | None) -> int:
    """Nanoseconds since 1970, 0 where the line does not say when it came.

    `unit` is that of numbers whose key names none; PASSED: such numbers are no times.
    Raises NoUnit where that is needed and not given, ValueError for what is no time.
    """
    best = min(((rank, key) for key in thing if (rank := _meaning(key))), default=None)
    if best is None:
        return 0
    (_, own), key = best
    value = bytes(thing[key])
    if value in {b"null", b"0", b'""', b"0.0"}:
        return 0
    return _ns(value, own, key, unit)


def _ns(value: bytes, own: str, key: str, unit: str | None) -> int:
    """What the value of a key says, of which `own` is the unit, if it names one."""
    text = value.decode()
    if text.startswith('"'):
        text = msgspec.json.decode(value, type=str)
        if found := _ISO.fullmatch(text):
            return _within(_iso(found), key, text)
    if not own and unit == PASSED:
        return 0
    if not (own or unit):
        raise NoUnit(
            f"{key!r} is {text[:40]}, in a unit that it does not name: say --time-unit s, ms, us or ns ({PASSED}: no time)."
        )
    factor = UNITS[own or unit or ""]
    if text.isascii() and text.isdigit() and len(text) < 20:
        return _within(int(text) * factor, key, text)
    try:
        number = Decimal(text)
        small = -1 < number < LIMIT_NS  # before it is multiplied: 1e999999999 is a number, too
    except ArithmeticError as error:
        raise ValueError(f"{key} {text[:40]} is no time") from error
    return _within(int(number * factor) if small else -1, key, text)


def _within(ns: int, key: str, text: str) -> int:
    if not 0 <= ns < LIMIT_NS:
        raise ValueError(f"{key} {text[:40]} is no time between 1970 and 2200")
    return ns


def _iso(found: re.Match[str]) -> int:
    """ISO 8601, UTC unless it says otherwise."""
    moment = datetime.datetime.fromisoformat(found[1] + (found[3] or "Z"))
    return int(moment.timestamp()) * 10**9 + int((found[2] or "").ljust(9, "0"))
