"""The builder's state at the beginning of a segment and at places inside it: readers start at the nearest one.

`NNNNNN.checkpoint` is the state at the beginning of segment NNNNNN, `NNNNNN_FFFFFFFFFFFF.checkpoint` that before record F
inside it; by name they sort in the order of their records. A checkpoint is derived from the journal; a missing or damaged
one costs time, never rows.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from kalshi_trio.fileio import write_whole
from kalshi_trio.journal.files import open_regular, read_regular
from kalshi_trio.journal.names import segment_of
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.records import Records

log = get_logger(__name__)

EVERY = 32_768
"""Records between two checkpoints, at least: the builder reads so many in some 0.1 s, and the journal has 1 MB of them."""
SHARE = 32
"""And so many bytes of frames a byte of state. Both compressed that is an eighth at most: frames shrink to an eighth,
states (prices and sizes of thousands of levels) to a half."""
UNKNOWN = 2**63 - 1
"""Behind every time."""
_NAME = re.compile(r"\d{6,}(_\d{12,})?\.checkpoint", re.ASCII)
_MARK = b"checkpt3"
_OLD_MARKS = (b"checkpt1", b"checkpt2")
_HEAD = len(_MARK) + 32
"""The mark and the SHA-256 of what follows: three numbers, eight bytes each, and the state, compressed."""


class Checkpoint(NamedTuple):
    """`blob` is the state behind record `first` - 1, which lies in segment `segment` or, unless `inside`, before it.

    `latest_ns`: the latest time of receipt of all records up to there (0 if there are none).
    """

    segment: int
    first: int
    blob: bytes
    latest_ns: int = UNKNOWN
    inside: bool = False

    @property
    def name(self) -> str:
        """Its file's."""
        return f"{self.segment:06}_{self.first:012}.checkpoint" if self.inside else f"{self.segment:06}.checkpoint"


class Spacing:
    """When another checkpoint is worth its cost, in bytes and in time: to dump the state holds up whoever does it.

    Measured: 0.1 ms and 45 kB for the state of 50 markets with 80 levels, 15 ms and 4.4 MB for 5,000.
    """

    def __init__(self, every: int = EVERY, share: int = SHARE) -> None:
        self._every, self._share = every, share
        self._records = self._bytes = self._size = 0

    def add(self, records: Records) -> None:
        """These records were fed."""
        self._records += len(records.data)
        self._bytes += sum(map(len, records.data))

    @property
    def due(self) -> bool:
        """Whether enough came since the last one."""
        return self._records >= self._every and self._bytes >= self._share * self._size

    def dumped(self, blob: bytes) -> bytes:
        """The state was dumped; returns it."""
        self._records, self._bytes, self._size = 0, 0, len(blob)
        return blob


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes it whole or not at all; not on a disk that refuses, which the log says."""
    numbers = (checkpoint.first, checkpoint.latest_ns, len(checkpoint.blob))
    body = b"".join(number.to_bytes(8, "little") for number in numbers)
    body += pa.compress(checkpoint.blob, codec="zstd", asbytes=True)
    try:
        write_whole(folder / checkpoint.name, _MARK + hashlib.sha256(body).digest() + body)
    except OSError as error:
        log.warning("No checkpoint at frame %d: %s", checkpoint.first, error)


def save_missing(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes it unless the EVERY records before it have one."""
    paths = _all(folder)
    place = bisect_right(paths, checkpoint.first, key=_first)
    if not place or _first(paths[place - 1]) <= checkpoint.first - EVERY:
        save(folder, checkpoint)


def nearest(folder: Path, after: int) -> Checkpoint | None:
    """The last whole checkpoint whose first record is not behind `after` + 1; None if there is none.

    Reads the file that it returns, and of few others the head.
    """
    return _last(folder, _first, after + 1, lambda found: found.first)


def before(folder: Path, ns: int) -> int:
    """A record up to which all were received before `ns`, none of them lies far before the first one that was not.

    0 if no checkpoint tells.
    """
    found = _last(folder, _latest, ns - 1, lambda found: found.latest_ns)
    return found.first - 1 if found else 0


def _last(folder: Path, said: Callable[[Path], int], most: int, true: Callable[[Checkpoint], int]) -> Checkpoint | None:
    """The last whole one of which something that never falls is `most` or less, as it says and as it is."""
    paths = _all(folder)
    for path in reversed(paths[: bisect_right(paths, most, key=said)]):
        found = _load(path)
        if found is not None and true(found) <= most:
            return found
    return None


def at(folder: Path, segment: int) -> Checkpoint | None:
    """The one at the beginning of a segment; None if it is missing or damaged."""
    path = folder / f"{segment:06}.checkpoint"
    return _load(path) if path.exists() else None


def whole(path: Path, *, older: bool = False) -> bool:
    """Whether this one is what was written, under its own name; `older`: by a version whose states nobody can use now."""
    found = _load(path, _OLD_MARKS if older else (_MARK,)) if _NAME.fullmatch(path.name) else None
    return found is not None and found.name == path.name


def drop_beyond(folder: Path, first: int) -> None:
    """Removes the checkpoints that begin behind record `first`: their records' numbers are given again."""
    for path in _all(folder):
        if _first(path) > first:
            path.unlink()


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.checkpoint") if _NAME.fullmatch(path.name) and path.is_file())


def _first(path: Path) -> int:
    """Its first record, as it says itself: `_load` tells whether that is true. 0 if it does not say."""
    _, inside, first = path.stem.partition("_")
    return int(first) if inside else _numbers(path)[0]


def _latest(path: Path) -> int:
    return _numbers(path)[1]


def _numbers(path: Path) -> tuple[int, ...]:
    """First record, latest time, size of the state; zeros where it says nothing."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD + 24)
    except OSError:
        head = b""
    said = head[_HEAD:] if head.startswith(_MARK) else b""
    return tuple(int.from_bytes(said[at : at + 8], "little") for at in (0, 8, 16))


def _load(path: Path, marks: tuple[bytes, ...] = (_MARK,)) -> Checkpoint | None:
    try:
        data = read_regular(path)
    except OSError:
        return None
    if data[: len(_MARK)] not in marks or hashlib.sha256(data[_HEAD:]).digest() != data[len(_MARK) : _HEAD]:
        return None
    first, latest, size = (int.from_bytes(data[at : at + 8], "little") for at in range(_HEAD, _HEAD + 24, 8))
    blob = pa.decompress(data[_HEAD + 24 :], decompressed_size=size, codec="zstd", asbytes=True)
    return Checkpoint(segment_of(path), first, blob, latest, inside="_" in path.stem)
