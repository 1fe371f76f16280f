"""Sessions to be told again: of generated markets, or of recordings, imported into a data folder of the test's own."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from pathlib import Path

from recordings import FOLDER

from kalshi_trio.exchange.desk import CHANNELS, Desk
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.history.importing import import_files
from kalshi_trio.journal.folder import resolve
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings

MARKETS = ("KXPAST-26NOV24-A", "KXPAST-26NOV24-B", "KXOTHER-26DEC-T1.5")
START_US = 1_795_543_200_000_000
"""2026-11-24 18:00 UTC"""
WHOLE = bool(os.environ.get("KALSHI_FULL"))
"""KALSHI_FULL=1: recordings are taken whole, however long."""
TRIMMED = 4_000


def generated(
    file: Path,
    seconds: float = 60,
    seed: int = 1,
    rate: float = 40.0,
    lost: tuple[int, ...] = (),
    *,
    closes: bool = True,
) -> Path:
    """A recording, line by line, of so many seconds; frames with these places (from 0) were lost. A market closes."""
    floor = GeneratedFloor(MARKETS, seed, rate, close_after=seconds * 0.8 if closes else None)
    desk = Desk(floor)
    params = {"channels": CHANNELS, "market_tickers": MARKETS}
    us, step = START_US, 5_000
    frames = [(us, frame) for frame in desk.command(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))]
    while us < START_US + seconds * 1_000_000:
        us += step
        frames += [(us, frame) for frame in desk.events(floor.advance(step, us))]
    kept = (pair for place, pair in enumerate(frames) if place not in lost)
    lines = (b'{"recv_ns":%d,"conn":1,"frame":%s}\n' % (us * 1_000 + 250_000, frame.strip()) for us, frame in kept)
    file.write_bytes(b'{"conn":1,"event":"connected","recv_ns":%d}\n' % (START_US * 1_000) + b"".join(lines))
    return file


def recorded(file: Path, name: str, most: int = TRIMMED) -> Path:
    """The first lines of a recording; all of them if KALSHI_FULL says so."""
    source = FOLDER / name
    with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as some:
        file.write_bytes(b"".join(itertools.islice(some, None if WHOLE else most)))
    return file


def settings_in(folder: Path, **more: object) -> Settings:
    """Settings whose every folder is below `folder`."""
    own = {"data_dir": folder / "data", "log_dir": folder / "logs", "journal_segment_records": 3_000}
    return Settings.model_validate(own | more)


async def imported(folder: Path, file: Path, **more: object) -> tuple[Path, Manifest]:
    """The session that is made of a recording, in no sink: its folder and manifest."""
    settings = settings_in(folder, **{"parquet": False, "clickhouse": False} | more)
    manifest = await import_files(settings, Terminal(), [file])
    return resolve(settings.data_dir, manifest.name), manifest
