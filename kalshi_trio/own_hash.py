"""A file that carries the SHA-256 of itself: the digest of all its bytes with a placeholder where the digest stands.

The formats have no checksum over the whole file (a flipped bit in the statistics of a Parquet footer changes what a
query finds, and no reader notices), and none of them minds 64 characters in its metadata.
"""

from __future__ import annotations

import hashlib
from typing import BinaryIO

KEY = "sha256"
"""The metadata's name for it."""
PLACEHOLDER = "SHA-256 of this file, with these 64 characters where it stands: "
_CHUNK = 1 << 20


def with_own_hash(data: bytes) -> bytes:
    """The same bytes, the last PLACEHOLDER in them replaced; ValueError if there is none."""
    at = data.rindex(PLACEHOLDER.encode())
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + len(PLACEHOLDER) :]


def fits(file: BinaryIO, claimed: str, tail: int) -> bool:
    """Whether the file is what was written; `claimed` stands, for the last time, in its last `tail` bytes."""
    size = file.seek(0, 2)
    file.seek(max(size - tail, 0))
    end = file.read()
    at = end.rfind(claimed.encode())
    if len(claimed) != len(PLACEHOLDER) or at < 0:
        return False
    state, left = hashlib.sha256(), max(size - tail, 0)
    file.seek(0)
    while left and (chunk := file.read(min(_CHUNK, left))):
        state.update(chunk)
        left -= len(chunk)
    state.update(end[:at] + PLACEHOLDER.encode() + end[at + len(PLACEHOLDER) :])
    return state.hexdigest() == claimed
