"""File names as cursor: `SESSION-LO-HI.parquet` holds all rows of one table that the frames LO..HI made.

LO..HI is what the file covers, not where its first and last row stand. Folders are `TABLE/date=YYYY-MM-DD`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import NamedTuple

_SESSION = re.compile(r"[0-9A-Za-z_~-]+")
_SUFFIX = ".parquet"


class RowFile(NamedTuple):
    """One file of rows, as its path inside the table's folder says it."""

    session: str
    date: str
    lo: int
    hi: int

    @property
    def path(self) -> str:
        """The path inside the table's folder."""
        return f"date={self.date}/{self.session}-{self.lo}-{self.hi}{_SUFFIX}"

    @classmethod
    def parse(cls, path: str) -> RowFile | None:
        """What the path says, None for a file that is none of ours (foreign, hidden or unfinished)."""
        folder, _, name = path.rpartition("/")
        session, *numbers = name.removesuffix(_SUFFIX).rsplit("-", 2)
        ours = name.endswith(_SUFFIX) and folder.startswith("date=") and _SESSION.fullmatch(session)
        if not ours or len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            return None
        return cls(session, folder.removeprefix("date="), int(numbers[0]), int(numbers[1]))


def row_file(session: str, date: datetime.date, lo: int, hi: int) -> RowFile:
    """The file for these frames; ValueError for a session name that must not become a path."""
    if not _SESSION.fullmatch(session):
        message = f"{session[:80]!r} cannot be part of a file name: a session is named by letters, digits, _, ~ and -"
        raise ValueError(message)
    return RowFile(session, date.isoformat(), lo, hi)


def not_covered(files: Iterable[RowFile]) -> list[RowFile]:
    """The files to read: those whose range lies inside another's of the same session and date are left out.

    Compaction puts the large file in place first and deletes the small ones later; until then both are there.
    """
    kept: list[RowFile] = []
    for file in sorted(files, key=lambda file: (file.session, file.date, file.lo, -file.hi)):
        if not (kept and kept[-1][:2] == file[:2] and file.hi <= kept[-1].hi):
            kept.append(file)
    return kept
