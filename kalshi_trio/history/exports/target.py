"""Where an export goes: a file or a folder that is there whole, or not at all; packed as its name says."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import pyarrow as pa

from kalshi_trio.errors import FolderNotWritable, UsageError
from kalshi_trio.fileio import make_folder, replace_whole, temporary_of


class Writable(Protocol):
    """What bytes go to."""

    def write(self, data: bytes, /) -> object: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Target:
    """`place` is where to write until `keep` puts it under its name; `abandon` removes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = temporary_of(path, hidden=True)

    def begin(self, *, folder: bool) -> None:
        """Makes room for it. Raises UsageError where something has that name, FolderNotWritable."""
        if self.path.exists():
            raise UsageError(f"{self.path} exists: nothing is written over. Choose another --out, or remove it.")
        try:
            self.abandon()
            make_folder(self.path.parent)
            if folder:
                self.place.mkdir()
        except OSError as error:
            raise FolderNotWritable(f"{self.path}: {error.strerror}. Choose another --out.") from error

    def keep(self) -> None:
        """It is whole, and brought to disk before it has its name. Raises FolderNotWritable."""
        try:
            replace_whole(self.place, self.path)
        except OSError as error:
            raise FolderNotWritable(f"{self.path}: {error.strerror}. Choose another --out.") from error

    def only(self) -> None:
        """Of the folder, only its one file is meant."""
        (file,) = [path for path in self.place.iterdir() if path.is_file()]
        inner = self.place.with_name(f"{self.place.name}.one")
        replace_whole(file, inner)
        self.place.rmdir()
        replace_whole(inner, self.place)

    def abandon(self) -> None:
        """It will not be; may be called when it is whole."""
        if self.place.is_dir():
            shutil.rmtree(self.place)
        else:
            self.place.unlink(missing_ok=True)


class _Gzip(gzip.GzipFile):
    """Without name and date, and its file is closed with it."""

    def __init__(self, place: Path) -> None:
        self._file = place.open("wb")
        super().__init__(filename="", mode="wb", compresslevel=6, fileobj=self._file, mtime=0)

    def close(self) -> None:
        super().close()
        self._file.close()


def packed(place: Path, name: str) -> Writable:
    """A new file at `place`, packed as `name` ends: .gz, .zst, else plain. The same content makes the same bytes."""
    if name.endswith(".gz"):
        return _Gzip(place)
    if name.endswith(".zst"):
        return pa.CompressedOutputStream(pa.OSFile(str(place), "wb"), "zstd")  # type: ignore[no-any-return]
    return place.open("wb")


def safe(market: str) -> str:
    """A ticker as the name of a file: what is not a letter, a digit or one of `-._` is percent-encoded, never a path.

    No two tickers have the same.
    """
    name = quote(market, safe="")
    name = name if name.strip(".") else name.replace(".", "%2E")
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}~{hashlib.sha256(market.encode()).hexdigest()[:16]}"


_LONGEST = 200
