"""Files that are there whole, or not at all: also after a power cut.

A name may reach the disk before the bytes that it names: what was renamed without an fsync before it can be empty afterwards.
So: a temporary name, fsync, rename, fsync of the folder. All errors are OSErrors; what is left of a write that failed is
removed, and what had that name before stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class NameUnsure(OSError):
    """The file has its name, but its folder could not be synced: a power cut may take the name away."""


def write_whole(path: Path, data: bytes | memoryview, *, durable: bool = True, hidden: bool = False) -> None:
    """Puts `data` at `path`. Raises OSError, NameUnsure when everything but the last step was done.

    `durable` False leaves out both fsyncs, for what is written anew all the time: whole for every reader, but for a power cut.
    `hidden`: the temporary name begins with a dot, in folders whose other files somebody lists.
    """
    temporary = temporary_of(path, hidden=hidden)
    with _removed_on_error(temporary):
        _write(temporary, data, durable=durable)
        temporary.replace(path)
    if durable:
        _name(path)


@contextmanager
def whole(path: Path, *, hidden: bool = True) -> Iterator[Path]:
    """A name to write a file under, which becomes `path` when the block ends, and is removed when it fails."""
    temporary = temporary_of(path, hidden=hidden)
    with _removed_on_error(temporary):
        yield temporary
        replace_whole(temporary, path)


def replace_whole(temporary: Path, path: Path) -> None:
    """Gives a file, or a folder with all that is in it, its name, once all of it is on disk."""
    _sync_all(temporary)
    temporary.replace(path)
    _name(path)


def temporary_of(path: Path, *, hidden: bool) -> Path:
    """The name beside `path` that a file has until it is whole."""
    return path.with_name(f"{'.' if hidden else ''}{path.name}.tmp")


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, for good; one that is there is left as it is."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` survive a power cut."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _write(path: Path, data: bytes | memoryview, *, durable: bool) -> None:
    with path.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _name(path: Path) -> None:
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise NameUnsure(*error.args) from error


def _sync_all(path: Path) -> None:
    if path.is_dir():
        for entry in path.iterdir():
            _sync_all(entry)
        sync_folder(path)
    else:
        _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    number = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _removed_on_error(temporary: Path) -> Iterator[None]:
    try:
        yield
    except Exception:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
