"""The units of a segment file, found and checked without an index: what is whole, what is not, and what is missing.

Bad bytes with a whole unit behind them are damage: a group is written only after the sync of the one before. With
nothing whole behind them they are a torn end, or damage to the last unit: its tag tells which, if that is whole.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from itertools import islice
from typing import NamedTuple

import google_crc32c
import pyarrow as pa

from kalshi_trio.journal.segment import Entry
from kalshi_trio.journal.tags import MAGIC, WIDTH, Tag, fits, read_tag

CHUNK = 1 << 20
END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""What Arrow ends a stream with."""
_SOUGHT = 1 << 20
"""Bytes looked through for a salt, where nobody knows the session: the head of the file, mostly."""


class Span(NamedTuple):
    """Bytes `start` up to `end` of the file."""

    start: int
    end: int


class Lost(NamedTuple):
    """Records that the file's own numbers say are missing."""

    first: int
    last: int


class Scan(NamedTuple):
    """What is in a segment file. `entries` are in the order of their records, wherever they stand."""

    entries: list[Entry]
    head: Entry | None
    """The unit that has the schema; its `first_frame` is the file's first record."""
    bad: list[Span]
    """Damage: bytes of no whole unit in its place, with whole ones behind them."""
    tail: Span | None
    """Bytes behind the last whole unit that are neither the stream's end nor zeros: torn, or damaged."""
    torn: bool
    """The tail is the beginning of a unit that never was longer on disk."""
    lost: list[Lost]
    first: int
    """The first record that is, or was, in it; 0 if nobody knows."""
    last: int
    """The last one; 0 if there are none."""


def scan(file: BufferedReader, salt: int | None, *, head_only: bool = False) -> Scan:
    """All whole units of a file. `salt` None: nobody knows the session, and the file's own units must agree on one.

    `head_only`: just the first of them. Nothing is decoded. OSError where the disk does not give what it has.
    """
    data = _Bytes(file)
    if salt is None:
        salt = _agreed(data)
    if salt is None:
        return Scan([], None, [], _tail(data, 0), torn=False, lost=[], first=0, last=0)
    if head_only:
        return _told(list(islice(_units(data, salt, 0, data.size), 1)), [], None, data, salt)
    found, bad, end = _in_place(data, salt)
    tail = _tail(data, end)
    if bad or tail:
        found = _with_misplaced(data, salt, found, [*bad, *([tail] if tail else [])])
    return _told(found, bad, tail, data, salt)


def first_of(file: BufferedReader, salt: int | None) -> int:
    """The first record of a file by its first whole unit, 0 if it has none."""
    data = _Bytes(file, 1 << 16)
    salt = _agreed(data) if salt is None else salt
    one = next(_units(data, salt, 0, data.size), None) if salt is not None else None
    return one[1].first if one else 0


def plain_scan(file: BufferedReader) -> list[Entry]:
    """The whole batches of a file of format 1, from the beginning; what is not the next record ends them.

    Its bytes have no checksum: a flipped one is believed, or ends the process. Only for files whose SHA-256 is known,
    and for the open end of a session that an older version left. The entries have no checksum. OSError as `scan`.
    """
    found: list[Entry] = []
    file.seek(0)
    offset = 0
    source = pa.PythonFile(file, mode="r")  # not mapped: a part that is begun again is truncated, which would be SIGBUS
    try:
        reader = pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(included_fields=[0]))
        while True:
            frames = reader.read_next_batch().column(0)
            if not len(frames):  # the head of a file that was rewritten since
                offset = source.tell()
                continue
            first, last = frames[0].as_py(), frames[-1].as_py()
            if (found and first != found[-1].last_frame + 1) or last - first + 1 != len(frames):
                break
            found.append(Entry(offset, source.tell() - offset, 0, first, last))
            offset = source.tell()
    except OSError as error:
        if error.errno is not None:  # the disk's own word: Arrow's has no number
            raise
    except (pa.ArrowException, StopIteration, EOFError, IndexError):
        pass
    return found


class _Bytes:
    """The bytes of a file, read ahead in chunks and not kept."""

    def __init__(self, file: BufferedReader, chunk: int = CHUNK) -> None:
        self._file = file
        self._chunk = chunk
        self.size = os.fstat(file.fileno()).st_size
        self._at, self._held = 0, b""

    def get(self, start: int, count: int) -> bytes:
        """`count` bytes from `start` on, fewer at the end."""
        begin = start - self._at
        if begin < 0 or begin + count > len(self._held):
            self._load(start, count)
            begin = 0
        return self._held[begin : begin + count]

    def find(self, start: int, end: int) -> int:
        """Where MAGIC stands next, wholly before `end`; -1 if it does not."""
        end = min(end, self.size)
        while start + len(MAGIC) <= end:
            if not self._at <= start <= self._at + len(self._held) - len(MAGIC):
                self._load(start, len(MAGIC))
            at = self._held.find(MAGIC, start - self._at, end - self._at)
            if at >= 0:
                return self._at + at
            if len(self._held) < len(MAGIC):
                break  # it was cut short meanwhile
            start = self._at + len(self._held) - len(MAGIC) + 1
        return -1

    def _load(self, start: int, count: int) -> None:
        self._file.seek(start)
        self._at, self._held = start, self._file.read(max(count, self._chunk))


def _units(data: _Bytes, salt: int | None, start: int, end: int, *, moved: bool = False) -> Iterator[tuple[int, Tag]]:
    """The whole units between two places, and where each begins; `moved`: also such as were written for elsewhere."""
    at = start
    while (at := data.find(at, end)) >= 0:
        tag = read_tag(data.get(at, WIDTH))
        begin = at - tag.back if tag else -1
        if (
            tag is not None
            and start <= begin
            and begin + tag.length <= min(end, data.size)
            and (salt is None or tag.salt == salt)
            and (moved or tag.offset == begin)
            and fits(tag, data.get(begin, tag.length))
        ):
            yield begin, tag
            start = at = begin + tag.length
        else:
            at += 1


def _agreed(data: _Bytes) -> int | None:
    votes = Counter(tag.salt for _, tag in _units(data, None, 0, min(data.size, _SOUGHT)))
    if not votes:
        votes = Counter(tag.salt for _, tag in _units(data, None, 0, data.size))
    return votes.most_common(1)[0][0] if votes else None


_Found = list[tuple[int, Tag]]


def _in_place(data: _Bytes, salt: int) -> tuple[_Found, list[Span], int]:
    """The units that stand where they were written, the damage between them, and where the last one ends."""
    found: _Found = []
    bad, end, following = [], 0, 0
    for begin, tag in _units(data, salt, 0, data.size):
        if tag.first < following:
            continue  # its records are there already
        if begin > end:
            bad.append(Span(end, begin))
        found.append((begin, tag))
        end, following = begin + tag.length, tag.first + tag.records
    return found, bad, end


def _tail(data: _Bytes, end: int) -> Span | None:
    """What stands behind the last whole unit, unless it is nothing, the stream's end, or what was never written."""
    if data.get(end, len(END) + 1) == END:
        return None
    at = end
    while piece := data.get(at, CHUNK):
        if piece.strip(b"\0"):
            return Span(end, data.size)
        at += len(piece)
    return None


def _with_misplaced(data: _Bytes, salt: int, found: _Found, spans: list[Span]) -> _Found:
    """And the units that stand elsewhere, where nobody else has their records: between those found, or right behind."""
    known = sorted(found, key=lambda one: (one[1].first, one[1].records))
    strays = [one for span in spans for one in _units(data, salt, *span, moved=True) if one[1].records]
    for stray in sorted(strays, key=lambda one: one[1].first):
        firsts = [tag.first for _, tag in known]
        place = bisect_left(firsts, stray[1].first)
        before = known[place - 1][1] if place else None
        if place < len(known) and not known[place][1].records and known[place][1].first == stray[1].first:
            before, place = known[place][1], place + 1  # the head
        after = known[place][1].first if place < len(known) else None
        free = before is not None and before.first + before.records <= stray[1].first
        behind = before is not None and before.first + before.records == stray[1].first
        if free and (behind if after is None else stray[1].first + stray[1].records <= after):
            known.insert(place, stray)
    return known


def _told(found: _Found, bad: list[Span], tail: Span | None, data: _Bytes, salt: int) -> Scan:
    entries, lost, following = [], list[Lost](), 0
    head = None
    for begin, tag in found:
        if following and tag.first > following:
            lost.append(Lost(following, tag.first - 1))
        following = max(following, tag.first + tag.records)
        unit = data.get(begin, tag.length)
        entry = Entry(begin, tag.length, google_crc32c.value(unit), tag.first, tag.first + tag.records - 1)
        if tag.records:
            entries.append(entry)
        elif not begin:
            head = entry
    last = _last_tag(data, salt, tail) if tail else None
    torn = last is not None and last.offset + last.length > data.size
    if last is not None and not torn and last.records and following in (0, last.first):
        lost.append(Lost(last.first, last.first + last.records - 1))
        following = last.first + last.records
    first = found[0][1].first if found else lost[0].first if lost else 0
    return Scan(entries, head, bad, tail, torn, lost, first, following - 1 if following > first else 0)


def _last_tag(data: _Bytes, salt: int, tail: Span) -> Tag | None:
    """The tag of the unit that the tail begins with, if that much of it is whole."""
    at = data.find(*tail)
    tag = read_tag(data.get(at, WIDTH)) if at >= 0 else None
    ours = tag is not None and tag.salt == salt and (tag.offset, tag.offset + tag.back) == (tail.start, at)
    return tag if ours else None
