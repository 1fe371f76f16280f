"""A file's lines: plain, gz, zst, bz2 or xz, told apart by their first bytes; as much of a damaged file as can be read.

A recorder that is killed leaves a compressed file without its end, and what stands before that is worth having. So
damage ends a file, it does not refuse it: whoever reads is told where.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from kalshi_trio.errors import UsageError
from kalshi_trio.foreign.kinds import refuse_other_kinds

LONGEST = 64 << 20
"""Bytes of a line: nothing that a websocket brought is longer."""
_CHUNK = 1 << 20
_PIECE = 1 << 16
"""Bytes read at a time where damage costs what was read with it."""
_BOM = b"\xef\xbb\xbf"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"
"""Behind a byte 0x50 to 0x5f: a frame of zstd's that holds no text, as seekable files and `pzstd` begin with."""

Refuse = Callable[[int, str], None]
"""Told of a line that cannot be read: its number, from 1, and why."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _gzip() -> _Decompressor:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


_MAGIC: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
}


class Texts:
    """Iterated once: lines that are not blank, without white space or BOM at their ends, each with its number from 1.

    Memory is bounded by LONGEST: a longer line, and the end of a file that is damaged, goes to `refuse`. Raises
    UsageError for what is no file, cannot be opened, or holds no text (`kinds`). `done`: bytes of the file that have
    been read. `digest`: takes the text as it was before it was packed.
    """

    def __init__(self, path: Path, refuse: Refuse, digest: hashlib._Hash | None = None) -> None:
        self.path = path
        self.done = 0
        self._digest = digest
        self._refuse = refuse
        self._number = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        if not self.path.is_file():
            raise UsageError(f"{self.path} is no file that can be read twice.")
        rest, skipping = b"", False
        try:
            with self.path.open("rb") as file:
                for chunk in self._text(file):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._number += 1
                        if skipping:
                            skipping = False
                        elif text := _stripped(line):
                            yield self._number, text
                    if len(rest) > LONGEST and not skipping:
                        self._refuse(self._number + 1, f"longer than {LONGEST} bytes")
                        skipping = True
                    if skipping:
                        rest = b""
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror or error}") from error
        if not skipping and (text := _stripped(rest)):
            yield self._number + 1, text

    def _text(self, file: BinaryIO) -> Iterator[bytes]:
        first = True
        for chunk in self._chunks(file):
            if chunk:
                if first:
                    refuse_other_kinds(self.path, chunk)
                first = False
                if self._digest is not None:
                    self._digest.update(chunk)
                yield chunk

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        """The file's bytes, decompressed, up to its end or where it is damaged."""
        first = file.read(6)
        file.seek(0)
        make = next((make for magic, make in _MAGIC.items() if first.startswith(magic)), None)
        if make is not None:
            yield from self._decompressed(file, make)
        elif first.startswith(_ZSTD) or (first[1:4] == _ZSTD_SKIPPED and 0x50 <= first[0] < 0x60):
            yield from self._zstd(file)
        else:
            while chunk := file.read(_CHUNK):
                self.done += len(chunk)
                yield chunk

    def _decompressed(self, file: BinaryIO, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
        """Member by member: files may be put one behind the other, as rotated logs are."""
        member = make()
        while chunk := file.read(_PIECE):
            self.done += len(chunk)
            try:
                while chunk:
                    if member.eof:
                        member = make()
                    yield member.decompress(chunk)
                    chunk = member.unused_data.lstrip(b"\0") if member.eof else b""
            except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
                self._damaged(str(error))
                return
        if not member.eof:
            self._damaged("the compressed file has no end")

    def _zstd(self, file: BinaryIO) -> Iterator[bytes]:
        source = pa.PythonFile(file, mode="r")
        try:
            with pa.CompressedInputStream(source, "zstd") as stream:
                while chunk := stream.read(_PIECE):
                    self.done = file.tell()
                    yield chunk
        except (OSError, pa.ArrowException) as error:
            self._damaged(str(error))

    def _damaged(self, why: str) -> None:
        self._refuse(self._number + 1, f"damaged from here on, the rest of the file is left out: {why}")


def _stripped(line: bytes) -> bytes:
    """Without white space, and without the BOM that a text begins with, whatever it was packed in or put behind."""
    text = line.strip()
    return text.removeprefix(_BOM).strip() if text and text[0] == _BOM[0] else text
