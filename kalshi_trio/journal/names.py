"""What a session's files are called.

`NNNNNN.arrows` is a segment. While the disk fails, a segment may be in parts: `NNNNNN_002.arrows` goes on where what is
certain of the part before it ends. They sort in this order, and are one file again when the segment closes.
"""

from __future__ import annotations

from pathlib import Path

DIGITS = 6


def part_path(folder: Path, segment: int, part: int) -> Path:
    """The file of a part, from 1 on."""
    return folder / (f"{segment:06}.arrows" if part == 1 else f"{segment:06}_{part:03}.arrows")


def segment_of(path: Path) -> int:
    """The number of the segment that a file belongs to."""
    return int(path.name[:DIGITS])


def parts_of(folder: Path, segment: int) -> list[Path]:
    """The files of a segment, in order."""
    return sorted(folder.glob(f"{segment:06}*.arrows"))
