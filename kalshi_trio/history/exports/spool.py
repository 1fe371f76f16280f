"""Rows of each market, packed, on disk while an export is made.

Formats that want a market in one piece get it, and no more than some megabytes are in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kalshi_trio.history.exports.target import safe

_PIECE = 1 << 20
"""Bytes of a market that wait to be written."""
_MOST = 64 << 20
"""Bytes of all markets that do."""


class Spool:
    """`add` packed rows of a market; `rows` reads all of them back. Files are only open while they are written to."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self._folder = folder
        self._dtype = dtype
        self._waiting: dict[str, bytearray] = {}
        self._held = 0
        self.markets: dict[str, int] = {}
        """How many rows each market has."""
        folder.mkdir()

    def add(self, market: str, rows: bytes) -> None:
        """Appends packed rows."""
        waiting = self._waiting.setdefault(market, bytearray())
        waiting += rows
        self._held += len(rows)
        self.markets[market] = self.markets.get(market, 0) + len(rows) // self._dtype.itemsize
        if len(waiting) >= _PIECE:
            self._flush(market)
        elif self._held >= _MOST:
            for name in list(self._waiting):
                self._flush(name)

    def _flush(self, market: str) -> None:
        waiting = self._waiting.pop(market)
        self._held -= len(waiting)
        with self._path(market).open("ab") as file:
            file.write(waiting)

    def rows(self, market: str) -> npt.NDArray[Any]:
        """All rows of a market, mapped from disk."""
        if market in self._waiting:
            self._flush(market)
        return np.memmap(self._path(market), self._dtype, "r")

    def _path(self, market: str) -> Path:
        return self._folder / f"{safe(market)}.rows"

    def remove(self) -> None:
        """Removes the files."""
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()
