"""Whole websocket data frames cut out of a stream of bytes (RFC 6455, section 5); the rest is left for wsproto.

Pure, and made for speed: 0.2 µs a frame where many come in one read (wsproto: 27). The fast path knows one shape, a
whole unmasked text or binary frame. All else goes up untouched, header and all, in order:

* control frames, one by one;
* messages that wsproto must judge, fragmented or oversized; behind such a one cutting stops (`waiting`) until `resume`
  says that it has been dealt with, so that nothing overtakes it;
* and, from the first frame on that breaks a rule (masked, reserved bits, unknown opcode, needlessly long length,
  stray continuation, bad control frame) or closes, everything, for good.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_WHOLE = (0x81, 0x82)
_FRAGMENT_STARTS = (0x01, 0x02)
_CONTINUATION, _LAST_CONTINUATION = 0x00, 0x80
_CLOSE, _PING, _PONG = 0x88, 0x89, 0x8A
_MASKED = 0x80
_LARGEST_HEADER = 10
_USUAL = 0x81 << 8 | 126
"""The first two bytes of a whole, unmasked text frame whose length stands in the next two."""
_usual = struct.Struct(">HH").unpack_from


class Header(NamedTuple):
    """A frame's first byte, the lengths of header and payload, where it stops, and whether it is masked."""

    first: int
    header: int
    length: int
    stop: int
    masked: bool


class Splitter:
    """Give it each read, in order; it keeps what is not whole yet, without copying it again at each read."""

    def __init__(self, max_frame: int) -> None:
        self._max_frame = max_frame
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 0
        self._passing = 0
        self._fragmented = False
        self._finishes = False
        self.waiting = False
        """A message that went up is whole: nothing more is cut out until `resume`."""
        self.broken = False
        """Everything goes up from here on."""

    @property
    def _cutting(self) -> bool:
        return not (self.waiting or self.broken)

    def resume(self) -> tuple[list[bytes], bytes]:
        """As `split`, with what is here already: the message that went up has been dealt with."""
        self.waiting = False
        self._need = 0
        return self.split(b"")

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Takes the next read. Returns the payloads of the data frames that are whole now, and the bytes to go up."""
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need or self.waiting:
            return [], b""
        buffer = data if len(self._parts) == 1 else b"".join(self._parts)
        frames: list[bytes] = []
        up: list[bytes] = []
        at = self._begin(buffer, up)
        while self._cutting:
            if not self._fragmented:
                at = self._cut(buffer, at, frames)
            passed = self._pass(buffer, at, up)
            if passed == at:
                break
            at = passed
        if self.broken:
            up.append(buffer[at:])
            at = len(buffer)
        if self._passing or self.broken:
            self._need = 0
        rest = buffer[at:]
        self._parts, self._have = ([rest] if rest else []), len(rest)
        return frames, b"".join(up)

    def _cut(self, buffer: bytes, at: int, frames: list[bytes]) -> int:
        """Cuts out data frames for as long as there is nothing else.

        This is where the time goes, so the usual shape, a text of 126 to 65,535 bytes, is dealt with flat: 0.18 µs.
        """
        size, limit = len(buffer), self._max_frame
        append = frames.append
        while True:
            while size - at >= 4:
                head, length = _usual(buffer, at)
                stop = at + 4 + length
                if head != _USUAL or stop > size or not 126 <= length <= limit:
                    break
                append(buffer[at + 4 : stop])
                at = stop
            start, stop = self._whole(buffer, at)
            if start == at:
                return at
            append(buffer[start:stop])
            at = stop

    def _whole(self, buffer: bytes, at: int) -> tuple[int, int]:
        """Where the payload of the data frame at `at` starts and stops, `at` twice if there is no whole one for us."""
        size = len(buffer)
        if size - at < 2 or buffer[at] not in _WHOLE:
            return at, at
        length, start, least = buffer[at + 1], at + 2, 0
        if length == 126 and size - at >= 4:
            length, start, least = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4, 126
        elif length == 127 and size - at >= 10:
            length, start, least = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10, 1 << 16
        elif length >= 126:
            return at, at
        if start + length > size or (least and not least <= length <= self._max_frame):
            return at, at
        return start, start + length

    def _begin(self, buffer: bytes, up: list[bytes]) -> int:
        """Sends on what is missing of an oversized frame."""
        self._need = 0
        if not self._passing:
            return 0
        piece = buffer[: self._passing]
        up.append(piece)
        self._passing -= len(piece)
        if not self._passing:
            self.waiting, self._finishes = self._finishes, False
        return len(piece)

    def _pass(self, buffer: bytes, at: int, up: list[bytes]) -> int:
        """Deals with the one frame at `at` that is not for us; returns where the next begins, or `at` to wait."""
        header = self._header(buffer, at)
        if header is None:
            return at
        self.broken = not self._lawful(header) or header.first == _CLOSE
        large = header.length > self._max_frame
        if self.broken or (header.stop > len(buffer) and not large):
            self._need = header.stop - at
            return at
        self._fragmented = header.first in _FRAGMENT_STARTS or (self._fragmented and header.first != _LAST_CONTINUATION)
        finishes = header.first in (*_WHOLE, _LAST_CONTINUATION)
        up.append(buffer[at : header.stop])
        if header.stop > len(buffer):
            self._passing, self._finishes = header.stop - len(buffer), finishes
            return len(buffer)
        self.waiting = finishes
        return header.stop

    def _header(self, buffer: bytes, at: int) -> Header | None:
        """The header at `at`, None (and `_need` set) if it is not whole."""
        head = buffer[at : at + _LARGEST_HEADER]
        self._need = 2
        if len(head) < 2:
            return None
        masked, length = head[1] & _MASKED != 0, head[1] & 0x7F
        extended = {126: 2, 127: 8}.get(length, 0)
        self._need = 2 + extended
        if len(head) < self._need:
            return None
        if extended:
            length = int.from_bytes(head[2 : 2 + extended], "big")
        return Header(head[0], 2 + extended, length, at + 2 + extended + length, masked)

    def _lawful(self, header: Header) -> bool:
        if header.masked or header.length < {4: 126, 10: 1 << 16}.get(header.header, 0):
            return False
        if header.first in (_CLOSE, _PING, _PONG):
            return header.length < 126
        if self._fragmented:
            return header.first in (_CONTINUATION, _LAST_CONTINUATION)
        return header.first in _WHOLE or header.first in _FRAGMENT_STARTS
