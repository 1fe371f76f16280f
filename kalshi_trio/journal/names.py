"""What a session's files are called.

`NNNNNN.arrows` is a segment. While the disk fails, a segment may be in parts: `NNNNNN_002.arrows` goes on where what is
certain of the part before it ends. They are one file again when the segment closes. `NNNNNN.arrows.damaged` is a file as
it was found, of which recovery had to leave bytes out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_SEGMENT = re.compile(r"(\d{6,})(?:_(\d{3,}))?\.arrows", re.ASCII)
_NUMBER = re.compile(r"\d{6,}", re.ASCII)
DAMAGED = ".damaged"


def part_path(folder: Path, segment: int, part: int) -> Path:
    """The file of a part, from 1 on."""
    return folder / (f"{segment:06}.arrows" if part == 1 else f"{segment:06}_{part:03}.arrows")


def segment_of(path: Path) -> int:
    """The number of the segment that a file belongs to; ValueError where its name begins with none."""
    found = _NUMBER.match(path.name)
    if found is None:
        raise ValueError(f"{path.name!r} is no file of a segment")
    return int(found[0])


def segment_files(folder: Path) -> list[Path]:
    """The segment files of a session, parts included, in the order of their records."""
    found = [(match, path) for path in _named(folder) if (match := _SEGMENT.fullmatch(path.name)) and path.is_file()]
    return [path for _, path in sorted(found, key=lambda one: (int(one[0][1]), int(one[0][2] or 1), one[1].name))]


def parts_of(folder: Path, segment: int) -> list[Path]:
    """The files of a segment, in order."""
    return [path for path in segment_files(folder) if segment_of(path) == segment]


def strangers(folder: Path) -> list[Path]:
    """What is called like a segment and can be none: folders, links to nothing, pipes, names without a number."""
    return [path for path in _named(folder) if not (_SEGMENT.fullmatch(path.name) and path.is_file())]


def free_segment(folder: Path) -> int:
    """The first number behind all segments, and behind whatever else has such a name."""
    return max((segment_of(path) for path in _named(folder) if _NUMBER.match(path.name)), default=0) + 1


def _named(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208  `glob` says nothing of a folder that cannot be read
    except FileNotFoundError:
        return []
    return sorted(folder / name for name in names if name.endswith(".arrows"))
