"""Imports in a test's own process: files in, a sealed session out."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import trio
from rebuilt import tables

from kalshi_trio.errors import first_of
from kalshi_trio.history.imports.importing import import_files
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.reading import read_session
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.settings import Settings


class Imported(NamedTuple):
    """A session, and what the import said."""

    folder: Path
    manifest: Manifest
    said: str

    @property
    def records(self) -> list[Records]:
        """Its journal."""
        return [records for frames in read_session(self.folder) for records in frames.records]

    @property
    def frames(self) -> list[bytes]:
        """The frames in it."""
        return [data for records in self.records if records.kind == "frame" for data in records.data]

    def rows(self) -> dict[str, pa.Table]:
        """The rows that it makes."""
        return tables(Builder(self.manifest.session), self.records)

    def stamps(self) -> list[tuple[int, int]]:
        """Connection and time of receipt of each frame."""
        return [(r.connection, r.ts_recv) for r in self.records if r.kind == "frame" for _ in r.data]


def settings_for(folder: Path, **more: Any) -> Settings:
    """Settings of a data folder in `folder`, without sinks unless wanted."""
    plain = {"data_dir": folder / "data", "log_dir": folder / "logs", "clickhouse": False, "parquet": False}
    return Settings(**{**plain, **more})


def imported(folder: Path, *files: Path, time_unit: str | None = None, **settings: Any) -> Imported:
    """Imports `files` into a data folder in `folder`."""
    text = io.StringIO()
    terminal = Terminal(file=text, width=200)
    work = partial(import_files, settings_for(folder, **settings), terminal, list(files), time_unit)
    try:
        manifest = trio.run(work)
    except BaseExceptionGroup as group:
        raise first_of(group) from None  # as `run_trio` does, which would change this process for good
    return Imported(folder / "data" / "sessions" / manifest.name, manifest, text.getvalue())


def written(path: Path, *lines: bytes | dict[str, Any]) -> Path:
    """A file of these lines; JSON where they are none yet."""
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else msgspec.json.encode(line)) + b"\n" for line in lines)
    )
    return path


def envelopes(
    frames: Iterable[bytes], conn: object = 1, begin_ns: int = 1_795_496_462_000_000_000
) -> list[dict[str, Any]]:
    """Each in an envelope, a millisecond apart."""
    return [
        {"recv_ns": begin_ns + number * 1_000_000, "conn": conn, "frame": msgspec.Raw(frame.strip())}
        for number, frame in enumerate(frames)
    ]
