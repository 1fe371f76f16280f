"""What frames say of themselves, for whoever reads them beside the builder: as tolerantly as it does."""

from __future__ import annotations

from typing import NamedTuple

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.census import UNUSED
from kalshi_trio.protocol.messages import SEQ_LIMIT, SID_LIMIT
from kalshi_trio.protocol.second import Object, object_of, value_of, whole_of
from kalshi_trio.protocol.texts import texts


class Head(NamedTuple):
    """One message of a frame: its members; "" and 0 where it does not say what it is."""

    text: bytes
    type: str
    sid: int
    seq: int
    id: int
    members: Object

    def object(self, name: str) -> Object:
        """A member that is an object; empty for anything else."""
        try:
            return object_of(self.members.get(name, UNUSED))
        except WireError:
            return {}


def heads(data: bytes) -> list[Head]:
    """All messages of a frame, those that cannot be read without a type."""
    return [_head(text) for text in texts(data)]


def text_of(members: Object, name: str) -> str:
    """A member that is a text, else ""."""
    value = _value(members, name)
    return value if isinstance(value, str) else ""


def number_of(members: Object, name: str, limit: int) -> int:
    """A member that is an integer from 0 to below `limit`, else 0."""
    return whole_of(_value(members, name), limit) or 0


def _value(members: Object, name: str) -> object:
    try:
        return value_of(members.get(name, UNUSED))
    except WireError:
        return None


def _head(text: bytes) -> Head:
    try:
        members = object_of(text)
    except WireError:
        members = {}
    sid, seq = number_of(members, "sid", SID_LIMIT), number_of(members, "seq", SEQ_LIMIT)
    return Head(text, text_of(members, "type"), sid, seq, number_of(members, "id", SEQ_LIMIT), members)
