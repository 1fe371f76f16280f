"""Frames as they came, a line each: bare, or in envelopes that also say when, on which connection, and where those end.

An import of the envelopes makes the same rows. What belongs to the session's owner alone stays behind: frames of
private channels, and in public ones the fields that tell one's own orders from others'.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec

from kalshi_trio.history.exports.target import packed
from kalshi_trio.history.imports.taking import Look, is_private
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.reading import Hole
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.records import Records

OWN = ("client_order_id", "subaccount")
"""Fields of public frames that only their owner is told."""
_OWN = tuple(name.encode() for name in OWN)
_SPACE = b" \t\r\n"


class Lines:
    """Blocking: takes a session's records in order. `notes` says at the end what could not be carried."""

    def __init__(self, place: Path, name: str, manifest: Manifest, markets: frozenset[str], *, bare: bool) -> None:
        self._out = packed(place, name)
        self._manifest, self._markets, self._bare = manifest, markets, bare
        self._look = Look()
        self._exchange = manifest.clock == "exchange"
        self._begun = False
        self.written = self._private = self._own = self._unfit = self._lost = self._others = 0
        self._connections: set[int] = set()

    def take(self, found: Frames | Hole) -> None:
        """Writes what is to be handed on of these records."""
        if isinstance(found, Hole):
            self._lost += found.last - found.first + 1
            if not self._bare:
                self._line({"event": "lost", "records": [found.first, found.last]})
            return
        for records in found.records:
            if not self._begun:
                self._begin(records)
            if records.kind == "frame":
                for data in records.data:
                    self._frame(records, data)
            elif not self._bare:
                for data in records.data:
                    self._event(records, json.loads(data))

    def close(self) -> None:
        """All is written, or nothing more will be."""
        self._out.close()

    @property
    def notes(self) -> list[str]:
        """What is not in it, or not as it was."""
        some = {
            f"{self._private} frames of private channels are left out": self._private,
            f"{self._own} frames without the fields that tell your own orders ({', '.join(OWN)})": self._own,
            f"{self._others} frames of other markets are left out: an import will find holes in the numbers": self._others,
            f"{self._unfit} frames have lines of their own in them, which this format cannot carry": self._unfit,
            f"{self._lost} records are damaged in the journal": self._lost,
            f"{len(self._connections)} connections: this format does not say which frame is whose": (
                self._bare and len(self._connections) > 1
            ),
            "this format does not say when frames came": self._bare and not self._exchange,
        }
        return [text for text, true in some.items() if true]

    def _frame(self, records: Records, data: bytes) -> None:
        try:
            peeks = self._look(data)
        except ValueError:
            peeks = []
        if any(is_private(peek.type) for peek in peeks):
            self._private += 1
            return
        named = {peek.market for peek in peeks if peek.market}
        if self._markets and named and not named & self._markets:
            self._others += 1
            return
        if any(name in data for name in _OWN):
            shorn = _without_own(data)
            if shorn is None:
                self._private += 1
                return
            self._own += shorn != data
            data = shorn
        self._connections.add(records.connection)
        text = data.strip(_SPACE)
        if self._bare:
            if b"\n" in text:
                self._unfit += 1
                return
            self._out.write(text + b"\n")
        else:
            fits = len(peeks) == 1 and b"\n" not in text and b"\r" not in text and _is_utf8(text)
            self._out.write(self._stamp(records) + (_whole(data, text) if fits else _base64(data)))
        self.written += 1

    def _stamp(self, records: Records) -> bytes:
        """The beginning of an envelope; a time that is not that of receipt is not called so."""
        if self._exchange:
            return b'{"recv_ns":0,"stamp_ns":%d,"conn":%d,' % (records.ts_recv, records.connection)
        return b'{"recv_ns":%d,"conn":%d,' % (records.ts_recv, records.connection)

    def _event(self, records: Records, event: dict[str, Any]) -> None:
        """What an import needs to know beside the frames: where connections and the session begin and end."""
        name = event.get("event")
        if records.kind == "connection" and name == "open":
            self._connections.add(records.connection)
            self._line({"event": "connected"}, records)
        elif name == "closed" and records.connection in self._connections:
            about = {"cause": event.get("cause") or "reconnect", "final": bool(event.get("final"))}
            about |= {"heard_ns": event["heard_ns"]} if "heard_ns" in event else {}
            self._line({"event": "disconnected", **about}, records)
        elif records.kind == "session" and name != "started":
            self._line({"event": "session_ended"}, records)

    def _begin(self, records: Records) -> None:
        """The first line says whose export it is: of every connection in it, it is said where it begins."""
        self._begun = True
        if self._bare:
            return
        manifest = self._manifest
        about: dict[str, Any] = {"event": "session_started", "session": manifest.session, "clock": manifest.clock}
        markets = [ticker for ticker in manifest.markets if not self._markets or ticker in self._markets]
        about |= {"software": manifest.software, "source": manifest.source, "markets": markets}
        started = json.loads(records.data[0]) if records.kind == "session" else {}
        about |= {name: started[name] for name in ("died", "previous", "as_seen") if started.get(name)}
        self._line(about, records)

    def _line(self, about: dict[str, Any], records: Records | None = None) -> None:
        begin = self._stamp(records) if records else b"{"
        self._out.write(begin + msgspec.json.encode(about)[1:] + b"\n")


def _whole(data: bytes, text: bytes) -> bytes:
    """The frame as it stands, and the white space behind it."""
    if data == text:
        return b'"frame":%b}\n' % text
    if not data.startswith(text):
        return _base64(data)
    tail = msgspec.json.encode(data[len(text) :].decode())
    return b'"frame":%b,"tail":%b}\n' % (text, tail)


def _base64(data: bytes) -> bytes:
    return b'"base64":"%b"}\n' % base64.b64encode(data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_own(data: bytes) -> bytes | None:
    """The frame without the fields that its owner alone was told; None if it cannot be read."""
    try:
        frame = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None
    msg = frame.get("msg") if isinstance(frame, dict) else None
    if not isinstance(msg, dict) or not any(name in msg for name in OWN):
        return data
    frame["msg"] = {name: value for name, value in msg.items() if name not in OWN}
    return msgspec.json.encode(frame) + data[len(data.rstrip(_SPACE)) :]
