"""Recordings of the live exchange, read where they lie, outside the project, as the records of a journal."""

from __future__ import annotations

import functools
import gzip
import importlib.util
import json
import os
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import pytest

from kalshi_trio.protocol.records import Kind, Records

FOLDER = Path(os.environ.get("KALSHI_SHARED") or Path(__file__).parents[2] / "shared" / "data")
NAMES = (
    *("btc_2026-04-18.jsonl", "sports_2026-08-07.jsonl", "mixed_2026-07-03.jsonl"),
    *("btc15m_2026-05-13T1259.ndjson.gz", "btc15m_2026-05-15T2131.ndjson.gz"),
    *("ufc_2026-03-07.ndjson.gz", "nba_2026-03-13.ndjson.gz"),
)
"""The recordings that have figures of an independent book beside them, smallest first."""

needed = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recordings in {FOLDER}; KALSHI_SHARED names another")


class Line(NamedTuple):
    """A frame of a recording; `ts_recv` 0: not known. A connection begins where `frame` is empty."""

    connection: int
    ts_recv: int
    frame: bytes


_NAMED = re.compile(rb'"market_ticker": ?"([^"]+)"')


class _Envelope(msgspec.Struct):
    recv_ns: int = 0
    conn: int = 1
    event: str = ""
    frame: msgspec.Raw = msgspec.Raw(b"")
    type: str = ""


def lines(name: str, most: int | None = None) -> list[Line]:
    """The first `most` lines of a recording, with an empty frame where a connection begins."""
    return list(_lines(name, most))


def _lines(name: str, most: int | None) -> Iterator[Line]:
    path = FOLDER / name
    decode = msgspec.json.Decoder(_Envelope).decode
    bare = not path.name.startswith(("btc15m", "sports"))
    if bare:
        yield Line(1, 0, b"")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file):
            if number == most:
                break
            if bare:
                yield Line(1, 0, line.strip())
                continue
            envelope = decode(line)
            if envelope.event == "connected":
                yield Line(envelope.conn, envelope.recv_ns, b"")
            elif not envelope.event:
                yield Line(envelope.conn, envelope.recv_ns, bytes(envelope.frame))


def figures(name: str) -> dict[str, Any]:
    """What the independent book found in the whole recording."""
    known: dict[str, Any] = json.loads((FOLDER / f"{name.partition('.')[0]}.oracle.json").read_text())
    return known


def judged(some: Iterable[Line]) -> dict[str, Any]:
    """What the independent book finds in these lines; its module is read from beside the recordings."""
    book = _oracle().Oracle()
    for line in some:
        if line.frame:
            book.frame(msgspec.json.decode(line.frame))
        else:
            book.new_connection()
    report: dict[str, Any] = book.report()
    return report


@functools.cache
def _oracle() -> ModuleType:
    spec = importlib.util.spec_from_file_location("oracle", FOLDER / "oracle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Session:
    """Writes the records of a session, as the feed and the journal would."""

    def __init__(self, ts_recv: int = 1_795_496_462_000_000_000) -> None:
        self.records: list[Records] = []
        self.ts_recv = ts_recv

    def add(self, kind: Kind, connection: int, data: list[bytes]) -> Records:
        """Appends one read, or one record of our own."""
        first = self.records[-1].last + 1 if self.records else 1
        self.ts_recv += 1_000_000
        records = Records(first, kind, connection, self.ts_recv, self.ts_recv, data)
        self.records.append(records)
        return records

    def own(self, kind: Kind, connection: int = 0, /, **event: object) -> Records:
        """Appends a record of our own: JSON."""
        return self.add(kind, connection, [msgspec.json.encode(event)])

    def start(self, *markets: str, **more: object) -> Records:
        """The session's first record."""
        event = {"event": "started", "source": "import", "software": "0", "markets": markets, "settings": {}}
        return self.add("session", 0, [msgspec.json.encode(event | more)])


def journal(some: Iterable[Line], seed: int = 0, read: int = 60) -> list[Records]:
    """The records of a session that brought these lines, `read` frames a read at most; it wanted what they name."""
    random_ = random.Random(seed)  # noqa: S311  test data
    session, some = Session(), list(some)
    named = (_NAMED.search(line.frame) for line in some)
    session.start(*dict.fromkeys(found[1].decode() for found in named if found), as_seen=True)
    connection, waiting = 0, list[bytes]()
    size = random_.randint(1, read)
    for line in some:
        if not line.frame or len(waiting) == size:
            if waiting:
                session.add("frame", connection, waiting)
            waiting, size = [], random_.randint(1, read)
        if line.frame:
            session.ts_recv = max(session.ts_recv, line.ts_recv)
            waiting.append(line.frame)
            continue
        if connection:
            session.own("connection", connection, event="closed", why="recorded")
        connection = line.connection
        session.own("connection", connection, event="open")
    if waiting:
        session.add("frame", connection, waiting)
    session.own("connection", connection, event="closed", final=True)
    session.own("session", event="ended", verdict="complete")
    return session.records
