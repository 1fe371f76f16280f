"""Several JSON texts in one websocket message: a line each, one behind the other, or in an array."""

from __future__ import annotations

import json

import msgspec
from msgspec import Raw

from kalshi_trio.protocol.decoder import BAD, too_deep

MOST = 10_000
"""Texts of a message; what has more is no message."""
_SPACE = " \t\r\n"
_end_of = json.JSONDecoder().raw_decode
_array = msgspec.json.Decoder(list[Raw]).decode


def texts(data: bytes) -> list[bytes]:
    """The texts in a message that cannot be read as one, as they stand there; the message itself if it is one text.

    What cannot be read is a text of its own up to the end of its line.
    """
    try:
        message = data.decode()
    except UnicodeDecodeError:
        return [data]
    if too_deep(data):
        return [data]
    parts: list[bytes] = []
    at = _skip(message, 0)
    while at < len(message) and len(parts) <= MOST:
        end = _text_at(message, at)
        parts += _elements(message[at:end].rstrip(_SPACE).encode())
        at = _skip(message, end)
    return parts if 0 < len(parts) <= MOST else [data]


def _skip(message: str, at: int) -> int:
    while at < len(message) and message[at] in _SPACE:
        at += 1
    return at


def _text_at(message: str, at: int) -> int:
    """Where the text that begins there ends."""
    try:
        return _end_of(message, at)[1]
    except (ValueError, RecursionError):
        line = message.find("\n", at)
        return len(message) if line < 0 else line


def _elements(text: bytes) -> list[bytes]:
    """The objects of an array; anything else stays what it is."""
    if text[:1] != b"[":
        return [text]
    try:
        elements = [bytes(element) for element in _array(text)]
    except BAD:
        return [text]
    return elements if elements and all(element[:1] == b"{" for element in elements) else [text]
