"""When a line was recorded, as its writer put it: in a key of the recorder's own, never in one of the exchange's.

A key says its unit (`recv_ns`, `received_ms`, …), or its value does (ISO 8601, or a number of such a size that it can be
only one thing between 2001 and 2100), or whoever imports it does; any other number is a mistake to be told, not a time.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec import Raw

from kalshi_trio.errors import UsageError

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds of each unit."""
PASSED = "none"
LIMIT_NS = 7_258_118_400_000_000_000
"""The year 2200: every store's nanoseconds hold what lies before it."""
_FROM_S, _TO_S = 10**9, 4_102_444_800
"""Seconds from 2001-09-09 to 2100: a thousand times as many are no such seconds, so a number's size tells its unit."""

_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")
_CLEAR = frozenset(("recv", "rcv", "rx", "received", "local", "arrival", "capture", "captured", "recorded", "wall"))
"""The recorder's words that need no more than a unit beside them: `wall_ns`."""
_MINE = _CLEAR | {
    *("rec", "receive", "receipt", "arrived", "collected", "record", "observed", "seen", "log", "logged", "ingest"),
    *("ingested", "host", "client", "written", "saved", "stored", "inserted"),
}
_ALONE = frozenset(("recv", "rcv", "rx", "received", "arrival", "captured", "recorded"))
"""Those that need nothing beside them."""
_PLAIN = frozenset(("ts", "time", "timestamp", "t", "datetime", "epoch", "unix"))
_AROUND = _PLAIN | {"at", "on", "utc", "iso", "clock", "stamp"}
_WORDS = {
    **{unit: unit for unit in UNITS},
    **dict.fromkeys(("nanos", "nsec", "nanosecond", "nanoseconds"), "ns"),
    **dict.fromkeys(("micros", "usec", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("millis", "msec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
}
_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d|\d{4}/\d\d/\d\d|\d{8}(?=[Tt]))(?:[Tt]| +)"
    r"(?P<time>\d\d:\d\d(?::\d\d)?|\d{6}|\d{4})(?:[.,](?P<part>\d+))?"
    r" *(?P<zone>[Zz]|(?:UTC|GMT)|[+-]\d\d(?::?\d\d)?(?: (?:UTC|GMT))?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_FLAGS = {b"true", b"false"}
_EMPTY = {b"null", b"0", b'""', b"0.0"}


class NoUnit(UsageError):
    """A number that may be seconds or anything else."""


class Key(NamedTuple):
    """What a key means as a time of receipt: less is better; `unit` is empty where it names none."""

    rank: int
    name: str
    unit: str


@functools.lru_cache(maxsize=1_000)
def _meaning(name: str) -> Key | None:
    """None: it is no time, or not the recorder's."""
    words = [word.lower() for word in _TOKEN.findall(name)]
    units = [word for word in words if word in _WORDS]
    named = [word for word in words if word not in _WORDS and not word.isdigit()]
    if len(units) > 1 or not all(word in _MINE or word in _AROUND for word in named):
        return None
    mine = any(word in _MINE for word in named)
    enough = not _AROUND.isdisjoint(named) or bool(units and not _CLEAR.isdisjoint(named)) or name.lower() in _ALONE
    if not enough if mine else _PLAIN.isdisjoint(named):
        return None
    unit = _WORDS[units[0]] if units else ""
    fine = list(reversed(UNITS)).index(unit) if unit else len(UNITS)
    return Key(fine if mine else 10 + fine, name, unit)


@functools.lru_cache(maxsize=1_000)
def time_keys(names: tuple[str, ...]) -> tuple[Key, ...]:
    """Those of these keys that may say when a line came, the best first: the recorder's own words, then the finest unit."""
    return tuple(sorted(key for name in names if (key := _meaning(name))))


def received_ns(thing: Mapping[str, Raw], keys: tuple[Key, ...], unit: str | None) -> int:
    """Nanoseconds since 1970, 0 where the line does not say when it came. `keys`: its `time_keys`.

    `unit` is that of numbers whose key names none; PASSED: such numbers are no times.
    Raises NoUnit where that is needed and not given, ValueError for what is no time.
    """
    for key in keys:
        value = bytes(thing[key.name])
        if value not in _EMPTY and not (value in _FLAGS and key.name.lower() in _ALONE):
            return _ns(value, key, unit)
    return 0


def _ns(value: bytes, key: Key, unit: str | None) -> int:
    """What the value of a key says."""
    if value.isdigit() and key.unit and len(value) < 20:
        return _within(int(value) * UNITS[key.unit], key.name, value.decode())
    text = value.decode()
    if text.startswith('"'):
        text = msgspec.json.decode(value, type=str).strip()
        if found := _ISO.fullmatch(text):
            return _within(_iso(found, key.name), key.name, text)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{key.name} {text[:40]!r} is no time: write ISO 8601 (2026-10-05T06:11:42.5Z) or a number")
    number = Decimal(text)
    if not -1 < number < LIMIT_NS:  # before it is multiplied: 1e999 is a number, too
        raise ValueError(f"{key.name} {text[:40]} is no time between 1970 and 2200")
    if not key.unit and unit == PASSED:
        return 0
    return _within(int(number * UNITS[key.unit or unit or _by_size(number, key.name)]), key.name, text)


def _by_size(number: Decimal, name: str) -> str:
    for unit, ns in UNITS.items():
        if _FROM_S <= number * ns / UNITS["s"] < _TO_S:
            return unit
    raise NoUnit(
        f"{name!r} is {number}, in a unit that it does not name: say --time-unit s, ms, us or ns ({PASSED}: no time)."
    )


def _within(ns: int, name: str, text: str) -> int:
    if not 0 <= ns < LIMIT_NS:
        raise ValueError(f"{name} {text[:40]} is no time between 1970 and 2200")
    return ns


def _iso(found: re.Match[str], name: str) -> int:
    """ISO 8601 and what is written like it, UTC unless it says otherwise; decimals beyond nanoseconds are cut off."""
    try:
        whole = _second(found["date"], found["time"], found["zone"] or "Z")
    except ValueError as error:
        raise ValueError(f"{name} {found[0]!r} is no time: {error}") from None
    return whole + int((found["part"] or "")[:9].ljust(9, "0"))


@functools.lru_cache(maxsize=1_000)
def _second(date: str, time: str, zone: str) -> int:
    """Nanoseconds of a second, which many lines share. Raises ValueError."""
    time = time if ":" in time else re.sub(r"(\d\d)(?=\d)", r"\1:", time)
    zone = zone.upper().removesuffix(" UTC").removesuffix(" GMT")
    zone = "Z" if zone in {"UTC", "GMT"} else zone
    moment = datetime.datetime.fromisoformat(f"{date.replace('/', '-')} {time}{zone}")
    return (moment - _EPOCH) // datetime.timedelta(seconds=1) * 10**9


_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
