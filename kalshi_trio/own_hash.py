"""A file that carries the SHA-256 of itself: the digest of all its bytes with a placeholder where the digest stands.

The formats have no checksum over the whole file (a flipped bit in the statistics of a Parquet footer changes what a
query finds, and no reader notices), and none of them minds 64 characters in its metadata. It is found and checked in the
bytes, before anything is decoded: Arrow's readers believe what they read.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, BinaryIO

import msgspec

KEY = "sha256"
"""The metadata's name for it."""
PLACEHOLDER = "SHA-256 of this file, with these 64 characters where it stands: "
JSON_KEY = "own_sha256"
"""Its name in a JSON file."""
_CHUNK = 1 << 20
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_IN_JSON = re.compile(rb'"own_sha256":\s*"[0-9a-f]{64}"')


def with_own_hash(data: bytes) -> bytes:
    """The same bytes, the last PLACEHOLDER in them replaced; ValueError if there is none."""
    at = data.rindex(PLACEHOLDER.encode())
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + len(PLACEHOLDER) :]


def whole(file: BinaryIO, tail: int) -> bool:
    """Whether the file is what was written with its own hash, which stands somewhere in its last `tail` bytes."""
    file.seek(0, 2)
    left = max(file.tell() - tail, 0)
    file.seek(left)
    end = file.read()
    file.seek(0)
    state = hashlib.sha256()
    while left and (chunk := file.read(min(_CHUNK, left))):
        state.update(chunk)
        left -= len(chunk)
    for found in _DIGEST.finditer(end):
        tried = state.copy()
        tried.update(end[: found.start()] + PLACEHOLDER.encode() + end[found.end() :])
        if tried.hexdigest().encode() == found[0]:
            return True
    return False


def json_with_hash(thing: object) -> bytes:
    """A JSON object as text, with its own hash as the last of its keys."""
    fields = msgspec.to_builtins(thing)
    return with_own_hash(msgspec.json.format(msgspec.json.encode({**fields, JSON_KEY: PLACEHOLDER}), indent=1))


def checked_json(data: bytes) -> dict[str, Any]:
    """What `json_with_hash` wrote, without the hash. One that has none is older than this, and believed.

    ValueError says what is wrong: the hash differs, or it is no JSON object.
    """
    found, fits = json_and_hash(data)
    if fits is False:
        raise ValueError("checksum differs")
    return found


def json_and_hash(data: bytes) -> tuple[dict[str, Any], bool | None]:
    """The same, and whether its hash fits, None without one. ValueError if it is no JSON object."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  one kind of error for whatever is wrong
    claimed = found.pop(JSON_KEY, None)
    if claimed is None:
        return found, None
    *_, place = (0, *(match.end() - 65 for match in _IN_JSON.finditer(data)))
    text = data[:place] + PLACEHOLDER.encode() + data[place + 64 :]
    return found, hashlib.sha256(text).hexdigest() == claimed
