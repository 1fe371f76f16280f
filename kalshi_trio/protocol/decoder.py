"""Frames → messages, with a census of what nobody has seen before: unknown is told, never dropped.

Decoding is strict about fields, so that schema drift is seen on the day it happens. A frame that the strict decoder
refuses gets a second look: new fields are counted and learnt (from then on they cost a count a frame), and where there
is nothing more to learn it is read without looking at the others.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, Struct

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.census import UNUSED, Census, learnt
from kalshi_trio.protocol.messages import SEQ_LIMIT, SID_LIMIT, TYPES, Frame, Unfit, Unknown

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
        self._learn()

    def _learn(self) -> None:
        """Makes the strict decoder anew, with the fields that the census has learnt as unused ones."""
        fields = self._census.fields
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
        thing = _object(data)
        name = thing.get("type")
        if not isinstance(name, str):
            raise WireError("no type")
        if name not in TYPES:
            self._census.type(name)
            return Unknown(name[:100], _whole(thing.get("sid"), SID_LIMIT), _whole(thing.get("seq"), SEQ_LIMIT))
        try:
            if self._unseen(name, thing):
                self._learn()
                return self._tolerant(data)
            return _lenient()(data)
        except BAD as error:
            return _unfit(name, thing, str(error))

    def _tolerant(self, data: bytes) -> Frame:
        """Counts what could be learnt, and does not stumble over the rest."""
        try:
            return self.decode(data)
        except msgspec.DecodeError:
            return _lenient()(data)

    def _unseen(self, name: str, thing: dict[str, Any]) -> bool:
        """Shows the census the fields that `thing` should not have; says whether it learnt any."""
        kind = TYPES[name]
        new = self._census.field(f"{name}.", thing.keys() - set(kind.__struct_fields__) - {"type"})
        inner, msg = _inner(kind), thing.get("msg")
        if inner is not None and isinstance(msg, dict):
            new |= self._census.field(name, msg.keys() - set(inner.__struct_fields__))
        return new


def _inner(kind: type[Struct]) -> type[Struct] | None:
    """The structure of `msg`, unless it is left raw."""
    inner = next(field.type for field in msgspec.structs.fields(kind) if field.name == "msg")
    return inner if isinstance(inner, type) and issubclass(inner, Struct) else None


def _kind(name: str, outer: Iterable[str], inner: Iterable[str], *, strict: bool = True) -> Any:
    """The frame of that type with more fields, or one that ignores those that it does not know."""
    kind = TYPES[name]
    struct, msg = _inner(kind), _unused(inner)
    fields: list[Any] = _unused(outer)
    if struct is not None and (msg or not strict):
        fields = [("msg", _extended(struct, msg, strict=strict)), *fields]
    return _extended(kind, fields, strict=strict) if fields or not strict else kind


def _unused(names: Iterable[str]) -> list[Any]:
    """Fields that nobody looks at; their names are the peer's, so they get others here."""
    return [(learnt(place), Raw, msgspec.field(default=UNUSED, name=name)) for place, name in enumerate(names)]


def _extended(kind: type[Struct], fields: list[Any], *, strict: bool) -> Any:
    tag = kind.__struct_config__.tag
    more: dict[str, Any] = {"tag": tag, "tag_field": "type"} if tag is not None else {}
    return msgspec.defstruct(
        kind.__name__, fields, bases=(kind,), kw_only=True, forbid_unknown_fields=strict, gc=False, **more
    )


def _decoder(kinds: Iterable[Any]) -> Callable[[bytes], Frame]:
    decode: Callable[[bytes], Frame] = msgspec.json.Decoder(functools.reduce(operator.or_, kinds)).decode
    return decode


@functools.cache
def _lenient() -> Callable[[bytes], Frame]:
    """Reads known types without looking at unknown fields; made when the first frame needs it."""
    return _decoder(_kind(name, (), (), strict=False) for name in TYPES)


def _object(data: bytes) -> dict[str, Any]:
    if too_deep(data):
        raise WireError("nested too deeply")
    try:
        thing = msgspec.json.decode(data.decode())
    except BAD as error:
        raise WireError(str(error)) from error
    if not isinstance(thing, dict):
        raise WireError("not a JSON object")
    return thing


def _whole(value: object, limit: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit else 0


def _unfit(name: str, thing: dict[str, Any], why: str) -> Unfit:
    msg = thing.get("msg")
    ticker = msg.get("market_ticker") if isinstance(msg, dict) else None
    sid, seq = _whole(thing.get("sid"), SID_LIMIT), _whole(thing.get("seq"), SEQ_LIMIT)
    return Unfit(name, sid, seq, ticker if isinstance(ticker, str) else "", why)
