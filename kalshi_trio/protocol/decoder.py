"""Frames → messages, with a census of what nobody has seen before: unknown is told, never dropped.

Decoding is strict about fields, so that schema drift is seen on the day it happens. A frame that the strict decoder
refuses gets a second look: new fields are counted and learnt (from then on they cost a count a frame), and where there
is nothing more to learn it is read field by field (`second`). A snapshot's new fields are never learnt: each time one
has to be looked at whether it may be a side of the book.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, Struct

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.census import UNUSED, Census, learnt
from kalshi_trio.protocol.messages import SEQ_LIMIT, SID_LIMIT, TYPES, Frame, OtherLifecycle, Unfit, Unknown, inner
from kalshi_trio.protocol.second import Object, Second, object_of, value_of, whole_of

BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading a frame may raise."""

DEEPEST = 400
"""Brackets inside one another that a message may have; real ones have five.

The reader's own limit (RecursionError) is the room that its caller's stack leaves, which is another one in a replay: the
same frame would be read here and refused there. This one lies far below.
"""
SHALLOW = 2 * DEEPEST
"""What is no longer than this, in bytes, is not nested too deeply, or never closed and refused for that."""

Message = Frame | Unknown | Unfit
"""What a frame may turn out to be."""
_SNAPSHOT = "orderbook_snapshot"
_LIVES = re.compile(r"\w+_lifecycle(_v\d+)?", re.ASCII)
"""Names of types that are about the lives of markets or events."""


def too_deep(data: bytes) -> bool:
    """Whether more than DEEPEST brackets are open somewhere (those in texts count too)."""
    if len(data) <= SHALLOW or data.count(b"[") + data.count(b"{") <= DEEPEST:
        return False
    folded = np.frombuffer(data, "u1") | 0x20  # makes { of [, and } of ]
    steps = (folded == ord("{")).view("i1") - (folded == ord("}")).view("i1")
    return int(np.cumsum(steps, dtype="i8").max()) > DEEPEST


class Decoder:
    """`decode` reads a frame of bytes that are UTF-8, or raises one of BAD; then `odd` has a second look."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._second = Second(census)
        self._learn()

    def _learn(self) -> None:
        """Makes the strict decoder anew, with the fields that the census has learnt as unused ones."""
        fields = {place: names for place, names in self._census.fields.items() if place.rstrip(".") != _SNAPSHOT}
        kinds = {name: _kind(name, fields.get(f"{name}.", ()), fields.get(name, ())) for name in TYPES}
        self._new = {kind: name for name, kind in kinds.items() if kind is not TYPES[name]}
        self._strict = _decoder(kinds.values())
        self.decode: Callable[[bytes], Frame] = self._counting if self._new else self._strict

    def _counting(self, data: bytes) -> Frame:
        """As the strict decoder, once there are learnt fields to count."""
        message = self._strict(data)
        name = self._new.get(type(message))
        if name is not None:
            self._census.seen(f"{name}.", message)
            if isinstance(message.msg, Struct):
                self._census.seen(name, message.msg)
        return message

    def odd(self, data: bytes) -> Message:
        """What `decode` refused: read nevertheless, or `Unknown`, or `Unfit`; WireError if it is no message at all."""
        thing, name = _message(data)
        if name not in TYPES:
            self._census.type(name)
            numbers = (_whole(thing, "sid", SID_LIMIT), _whole(thing, "seq", SEQ_LIMIT))
            if _LIVES.fullmatch(name) and "msg" in thing:
                return OtherLifecycle(name[:100], *numbers, thing["msg"])
            return Unknown(name[:100], *numbers)
        if self._unseen(name, thing) and name != _SNAPSHOT:
            self._learn()
            with contextlib.suppress(*BAD):  # there is more to it than new fields
                return self.decode(data)
        for place, members in _places(name, thing):
            self._census.again(place, members.keys())
        return self._read(name, thing)

    def again(self, data: bytes) -> Message:
        """What `decode` read, but no row could be made of: read field by field."""
        thing, name = _message(data)
        return self._read(name, thing)

    def _read(self, name: str, thing: Object) -> Message:
        try:
            return self._second.read(name, thing, thing.keys() - _KNOWN[name])
        except WireError as error:
            return _unfit(name, thing, str(error))

    def _unseen(self, name: str, thing: Object) -> bool:
        """Shows the census the fields that `thing` should not have; says whether it learnt any."""
        new = False
        for place, members in _places(name, thing):
            kind = TYPES[name] if place[-1] == "." else inner(TYPES[name])
            known = _KNOWN[name] if place[-1] == "." else set(kind.__struct_fields__ if kind else members)
            new |= self._census.field(place, members.keys() - known)
        return new


_KNOWN = {name: {*kind.__struct_fields__, "type"} for name, kind in TYPES.items()}
"""Type → the members that a frame of it may have."""


def _places(name: str, thing: Object) -> list[tuple[str, Object]]:
    """Where the census counts this frame's members, and those of its `msg` if they are looked at one by one."""
    places = [(f"{name}.", thing)]
    if inner(TYPES[name]) is not None:
        with contextlib.suppress(WireError):  # it is no object
            places.append((name, object_of(thing.get("msg", UNUSED))))
    return places


def _kind(name: str, outer: Iterable[str], msg: Iterable[str]) -> Any:
    """The frame of that type with more fields."""
    kind = TYPES[name]
    struct, more = inner(kind), _unused(msg)
    fields: list[Any] = _unused(outer)
    if struct is not None and more:
        fields = [("msg", _extended(struct, more)), *fields]
    return _extended(kind, fields) if fields else kind


def _unused(names: Iterable[str]) -> list[Any]:
    """Fields that nobody looks at; their names are the peer's, so they get others here."""
    return [(learnt(place), Raw, msgspec.field(default=UNUSED, name=name)) for place, name in enumerate(names)]


def _extended(kind: type[Struct], fields: list[Any]) -> Any:
    tag = kind.__struct_config__.tag
    more: dict[str, Any] = {"tag": tag, "tag_field": "type"} if tag is not None else {}
    return msgspec.defstruct(
        kind.__name__, fields, bases=(kind,), kw_only=True, forbid_unknown_fields=True, gc=False, **more
    )


def _decoder(kinds: Iterable[Any]) -> Callable[[bytes], Frame]:
    decode: Callable[[bytes], Frame] = msgspec.json.Decoder(functools.reduce(operator.or_, kinds)).decode
    return decode


def _message(data: bytes) -> tuple[Object, str]:
    """A message's members and its type; WireError if it is none."""
    if too_deep(data):
        raise WireError("nested too deeply")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise WireError(str(error)) from error
    thing = object_of(data)
    name = value_of(thing.get("type", UNUSED))
    if type(name) is not str:
        raise WireError("no type")
    return thing, name


def _whole(thing: Object, name: str, limit: int) -> int:
    try:
        return whole_of(value_of(thing.get(name, UNUSED)), limit) or 0
    except WireError:
        return 0


def _unfit(name: str, thing: Object, why: str) -> Unfit:
    try:
        ticker = value_of(object_of(thing.get("msg", UNUSED)).get("market_ticker", UNUSED))
    except WireError:
        ticker = ""
    numbers = (_whole(thing, "sid", SID_LIMIT), _whole(thing, "seq", SEQ_LIMIT))
    return Unfit(name, *numbers, ticker if type(ticker) is str else "", why)
