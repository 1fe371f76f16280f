"""Sessions to be told again: of generated markets, or of recordings, imported into a data folder of the test's own."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from recordings import FOLDER

from kalshi_trio.exchange.desk import CHANNELS, Desk
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.market import Event
from kalshi_trio.history.imports.importing import import_files
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
    lost: Collection[int] = (),
    *,
    closes: bool = True,
) -> Path:
    """A recording, line by line, of so many seconds; frames with these places (from 0) were lost. A market closes."""
    (frames,) = _heard(seconds, seed, rate, (Ear(),), closes=closes)
    return _written(file, [pair for place, pair in enumerate(frames) if place not in lost], Ear())


class Ear(NamedTuple):
    """One of several recorders of the same markets: when it subscribed (seconds), in which order, how late it hears."""

    since: float = 0.0
    channels: Sequence[str] = CHANNELS
    late_ns: int = 250_000
    connection: int = 1
    misses: Callable[[Event], bool] = lambda _: False
    """What never reached it although nothing shows that: the numbers have no hole."""


def heard(folder: Path, *ears: Ear, seconds: float = 60, seed: int = 1, closes: bool = True) -> list[Path]:
    """What several recorders heard of the same markets."""
    told = _heard(seconds, seed, 40.0, ears, closes=closes)
    return [
        _written(folder / f"{place}.jsonl", frames, ear)
        for place, (frames, ear) in enumerate(zip(told, ears, strict=True))
    ]


Frames = list[tuple[int, bytes]]
"""With the microseconds of the exchange at which each was sent."""


def _heard(seconds: float, seed: int, rate: float, ears: Sequence[Ear], *, closes: bool) -> list[Frames]:
    floor = GeneratedFloor(MARKETS, seed, rate, close_after=seconds * 0.8 if closes else None)
    desks = [Desk(floor) for _ in ears]
    told: list[Frames] = [[] for _ in ears]
    us, step, waiting = START_US, 5_000, dict(enumerate(ears))
    while us < START_US + seconds * 1_000_000:
        for place in [place for place, ear in waiting.items() if us >= START_US + ear.since * 1_000_000]:
            params = {"channels": waiting.pop(place).channels, "market_tickers": MARKETS}
            asked = json.dumps({"id": 1, "cmd": "subscribe", "params": params})
            told[place] += [(us, frame) for frame in desks[place].command(asked)]
        us += step
        events = floor.advance(step, us)
        for place, (desk, ear) in enumerate(zip(desks, ears, strict=True)):
            if place not in waiting:
                told[place] += [
                    (us, frame) for event in events if not ear.misses(event) for frame in desk.events([event])
                ]
    return told


def _written(file: Path, frames: Frames, ear: Ear) -> Path:
    start = frames[0][0] * 1_000
    lines = (
        b'{"recv_ns":%d,"conn":%d,"frame":%s}\n' % (us * 1_000 + ear.late_ns, ear.connection, frame.strip())
        for us, frame in frames
    )
    opened = b'{"conn":%d,"event":"connected","recv_ns":%d}\n' % (ear.connection, start)
    file.write_bytes(opened + b"".join(lines))
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
