"""Where whole files are put: a local folder, or an object store through `pyarrow.fs`.

A file is there whole and for good when `put` returns, or not at all. A local folder does it by temporary name, fsync,
rename, fsync of the folder; an object store has no rename, but there a put is atomic by itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyarrow import fs

from kalshi_trio.errors import FolderNotWritable, SinkUnavailable
from kalshi_trio.fileio import NameUnsure, make_folder, sync_folder, write_whole

_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
"""Errors that waiting does not cure; a full or failing disk may come back."""


class Shelf(Protocol):
    """Paths are relative, with `/`. All calls raise SinkUnavailable when the place does not answer."""

    def prepare(self) -> None:
        """Makes the place and tries to write there; FolderNotWritable where that is not permitted."""

    def files(self, folder: str) -> list[str]:
        """The paths, inside `folder`, of all files one folder further down; empty if there is no such folder."""

    def put(self, path: str, data: pa.Buffer) -> None:
        """Puts one file, whole and for good, or not at all; replaces one of that name."""

    def read(self, path: str) -> bytes:
        """The file's content, empty if there is none."""

    def open(self, path: str) -> pa.NativeFile:
        """A file to read in, piece by piece; OSError if there is none."""

    def sweep(self, folder: str, prefix: str) -> None:
        """Removes what an interrupted `put` of files named `prefix`… left one folder below `folder`."""

    def remove(self, paths: Sequence[str]) -> None:
        """Removes these files one after the other, for good when it returns; one that is not there does not matter."""


@contextmanager
def _said(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{place}: {error.strerror or error}"
        raise SinkUnavailable(message) from error
    except MemoryError as error:
        raise SinkUnavailable(f"{place}: out of memory") from error


class LocalShelf:
    """A folder on a local disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __repr__(self) -> str:
        return f"LocalShelf({str(self._root)!r})"

    def prepare(self) -> None:
        """See Shelf."""
        probe = self._root / f".probe-{os.getpid()}.tmp"
        try:
            make_folder(self._root)
            probe.touch()
            probe.unlink()
        except OSError as error:
            kind = FolderNotWritable if error.errno in _NOT_OURS else SinkUnavailable
            message = f"{self._root}: {error.strerror}. Choose a folder that this user may write (PARQUET_DIR)."
            raise kind(message) from error

    def files(self, folder: str) -> list[str]:
        """See Shelf."""
        with _said(str(self._root)):
            return [f"{below.name}/{name}" for below in self._below(folder) for name in os.listdir(below)]  # noqa: PTH208  names only: a Path for each of a year's files would cost seconds

    def put(self, path: str, data: pa.Buffer) -> None:
        """See Shelf."""
        target = self._root / path
        with _said(str(target)):
            make_folder(target.parent)
            try:
                # Hidden, since pyarrow reads every file of a folder whose name does not begin with a dot or an underscore.
                write_whole(target, memoryview(data), hidden=True)
            except NameUnsure:  # as if it had not been put
                with suppress(OSError):
                    target.unlink(missing_ok=True)
                raise

    def read(self, path: str) -> bytes:
        """See Shelf."""
        with _said(str(self._root / path)):
            return (self._root / path).read_bytes() if (self._root / path).is_file() else b""

    def open(self, path: str) -> pa.NativeFile:
        """See Shelf."""
        if not (self._root / path).is_file():  # a pipe would let its reader wait for ever
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._root / path))
        return pa.OSFile(str(self._root / path))

    def sweep(self, folder: str, prefix: str) -> None:
        """See Shelf."""
        with _said(str(self._root)):
            for below in self._below(folder):
                for name in os.listdir(below):  # noqa: PTH208  as in `files`
                    if name.startswith(f".{prefix}") and name.endswith(".tmp"):
                        (below / name).unlink(missing_ok=True)

    def remove(self, paths: Sequence[str]) -> None:
        """See Shelf."""
        with _said(str(self._root)):
            for path in paths:
                (self._root / path).unlink(missing_ok=True)
            for folder in {(self._root / path).parent for path in paths}:
                if folder.is_dir():
                    sync_folder(folder)

    def _below(self, folder: str) -> list[Path]:
        try:
            with os.scandir(self._root / folder) as entries:
                return [Path(entry.path) for entry in entries if entry.is_dir()]
        except FileNotFoundError:
            return []


class ObjectShelf:
    """A prefix in a `pyarrow.fs` filesystem whose puts are atomic (S3, GCS, Azure)."""

    def __init__(self, filesystem: fs.FileSystem, root: str) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")

    def __repr__(self) -> str:
        return f"ObjectShelf({self._fs.type_name!r}, {self._root!r})"

    def prepare(self) -> None:
        """See Shelf."""
        with _said(self._root):
            self._fs.create_dir(self._root, recursive=True)

    def files(self, folder: str) -> list[str]:
        """See Shelf."""
        base = f"{self._root}/{folder}"
        with _said(base):
            found = self._fs.get_file_info(fs.FileSelector(base, allow_not_found=True, recursive=True))
        return [info.path.removeprefix(f"{base}/") for info in found if info.is_file]

    def put(self, path: str, data: pa.Buffer) -> None:
        """See Shelf. The object appears when the stream is closed, all of it."""
        target = f"{self._root}/{path}"
        with _said(target):
            self._fs.create_dir(target.rpartition("/")[0], recursive=True)
            with self._fs.open_output_stream(target) as stream:
                stream.write(data)

    def read(self, path: str) -> bytes:
        """See Shelf."""
        target = f"{self._root}/{path}"
        with _said(target):
            try:
                with self._fs.open_input_stream(target) as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return b""

    def open(self, path: str) -> pa.NativeFile:
        """See Shelf."""
        return self._fs.open_input_file(f"{self._root}/{path}")

    def sweep(self, folder: str, prefix: str) -> None:
        """An interrupted put leaves nothing that can be seen."""

    def remove(self, paths: Sequence[str]) -> None:
        """See Shelf."""
        for path in paths:
            target = f"{self._root}/{path}"
            with _said(target), suppress(FileNotFoundError):
                self._fs.delete_file(target)
