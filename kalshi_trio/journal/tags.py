"""The tag in each batch of a segment file: what it is, where it stands, and the checksum of all of it.

A *unit* is what one call of Arrow's writer puts out: a batch, and for a file's first one the schema and the dictionary
before it. Its tag is the value of one key of the batch's `custom_metadata`, of fixed width and in lower-case hex, so that
standard readers open the file and ours finds and checks a unit without decoding a byte of it:

    KTu2: offset(16) length(8) back(6) first(16) records(8) salt(8) tag(8) crc32c(8)

`offset`: of the unit in its file; `back`: bytes from the unit's start to the tag; `first`, `records`: its records (a unit
of none says which record comes next); `salt`: of the session, so that no other session's bytes, nor bytes inside a frame,
pass for a unit; `tag`: the CRC32C of what stands before it, so that of a damaged unit one still knows which records are
lost with it; `crc32c`: that of the whole unit with its own eight digits as zeros.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import google_crc32c
import pyarrow as pa

FORMAT = 2
"""Of a session whose units are tagged; 1 had no tags. The manifest says which it is."""
MAGIC = b"KTu2:"
_LAYOUT = "%016x%08x%06x%016x%08x%08x"
_CRC = 8
_UNSIGNED = b"0" * _CRC
WIDTH = len(MAGIC) + 62 + 2 * _CRC
_BLANK = MAGIC + b"0" * (WIDTH - len(MAGIC))
METADATA = pa.KeyValueMetadata({b"kalshi_trio": _BLANK})
"""What a batch is written with; `stamp` fills it in."""
_FIELDS = re.compile(
    rb"KTu2:([0-9a-f]{16})([0-9a-f]{8})([0-9a-f]{6})([0-9a-f]{16})([0-9a-f]{8})([0-9a-f]{8})"
    rb"([0-9a-f]{8})([0-9a-f]{8})"
)


class Tag(NamedTuple):
    """What a tag says of its unit, which `fits` checks."""

    offset: int
    length: int
    back: int
    first: int
    records: int
    salt: int
    crc32c: int


def salt_of(session: str) -> int:
    """The salt of a session: its id has 32 random bits, and every place that names the session gives it."""
    return int(google_crc32c.value(b"kalshi_trio " + session.encode()))


def stamp(unit: bytes, offset: int, first: int, records: int, salt: int) -> bytes:
    """What Arrow's writer put out for one batch, written with METADATA, with its tag filled in."""
    at = unit.index(_BLANK)
    fields = MAGIC + (_LAYOUT % (offset, len(unit), at, first, records, salt)).encode()
    begin = unit[:at] + fields + b"%08x" % google_crc32c.value(fields)
    rest = unit[at + WIDTH :]
    crc32c = google_crc32c.extend(google_crc32c.extend(google_crc32c.value(begin), _UNSIGNED), rest)
    return b"".join((begin, b"%08x" % crc32c, rest))


def read_tag(data: bytes) -> Tag | None:
    """What the tag says that `data` begins with; None if it is none, or not what was written."""
    found = _FIELDS.match(data)
    if found is None:
        return None
    offset, length, back, first, records, salt, own, crc32c = (int(digits, 16) for digits in found.groups())
    whole = own == google_crc32c.value(data[: WIDTH - 2 * _CRC])
    return Tag(offset, length, back, first, records, salt, crc32c) if whole else None


def fits(tag: Tag, unit: bytes) -> bool:
    """Whether these bytes are the unit that the tag is of, as it was written."""
    end = tag.back + WIDTH
    if len(unit) != tag.length or end > tag.length:
        return False
    crc32c = google_crc32c.extend(google_crc32c.value(unit[: end - _CRC]), _UNSIGNED)
    return bool(google_crc32c.extend(crc32c, unit[end:]) == tag.crc32c)
