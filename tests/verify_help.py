"""Small sessions with everything in them, whole in their sinks, to be damaged; and `verify` in a test's own process."""

from __future__ import annotations

import random
from itertools import groupby
from pathlib import Path
from unittest import mock

import fed
from fed import A, B
from recordings import Session
from written import write

from kalshi_trio.history.verify.findings import Finding, Report, SessionReport
from kalshi_trio.history.verify.places import scope
from kalshi_trio.history.verify.verifying import steps
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.reading import read_session
from kalshi_trio.journal.sinks_report import Stored, write_report
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.settings import Settings
from kalshi_trio.sinks.base import Store
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded
from kalshi_trio.sinks.parquet import ParquetStore

SEGMENT, BATCH = 400, 100
"""Records a segment of the journal, and a batch of its file."""


def records(frames: int = 1_500, *, lost: int = 0, seed: int = 7) -> list[Records]:
    """Two markets on sid 1, trades on sid 2; `lost`: after so many frames some numbers never came."""
    random_ = random.Random(seed)  # noqa: S311  test data
    session = Session()
    session.start(A, B)
    session.own("connection", 1, event="open")
    sizes: dict[tuple[str, str, int], int] = {}
    seq, trades, waiting = 2, 0, [fed.snapshot(1, A), fed.snapshot(2, B)]
    for number in range(frames):
        market, side = random_.choice((A, B)), random_.choice(("yes", "no"))
        price = random_.randint(1, 48)
        before = sizes.get((market, side, price), 0)
        change = random_.randint(1, 90) if before < 50 else -random_.randint(1, before)
        sizes[market, side, price] = before + change
        if lost and number == lost:
            seq += 3
        if lost and number == lost + 50:
            waiting += [fed.snapshot(seq + 1, A), fed.snapshot(seq + 2, B)]
            seq, sizes = seq + 2, {}
            continue
        seq += 1
        waiting.append(fed.delta(seq, f"0.{price:02}00", f"{change}.00", side, market, at=f".{number // 3 + 1:06}"))
        if number % 40 == 0:
            trades += 1
            waiting.append(_trade(trades, market))
        if len(waiting) > random_.randint(1, 20):
            session.add("frame", 1, waiting)
            waiting = []
    session.add("frame", 1, waiting)
    session.own("connection", 1, event="closed", final=True)
    session.own("session", event="ended", verdict="known gaps" if lost else "complete")
    return session.records


def _trade(seq: int, market: str) -> bytes:
    msg = {"trade_id": f"t{seq}", "market_ticker": market, "yes_price_dollars": "0.4000", "no_price_dollars": "0.6000"}
    return fed.frame(
        "trade", 2, seq, msg=msg | {"count_fp": "1.00", "taker_outcome_side": "yes", "ts_ms": 1_795_496_462_000}
    )


def recorded(data: Path, some: list[Records], *, clickhouse: bool = False, sinks: bool = True) -> Path:
    """The folder of a sealed session of these records; its rows are in the sinks, a file or part a segment."""
    with mock.patch("kalshi_trio.journal.disk.LARGE", BATCH), mock.patch("written.READS", 5):
        folder = write(data, some, segment=SEGMENT, every=150)
    if sinks:
        stores: list[Store] = [ParquetStore(data / "parquet")]
        stores += [ClickHouseStore(Embedded(data / "clickhouse"))] if clickhouse else []
        for store in stores:
            store.open()
            for batch in batches(folder):
                store.write(batch, {})
            store.close()
        report(folder, stores)
    return folder


def report(folder: Path, stores: list[Store], pending: int = 0) -> None:
    """sinks.json, with so many rows of each table pending."""
    made = manifest_of(folder).tally.rows
    tables = {table: Stored(rows.made - pending, pending, 0) for table, rows in made.items()}
    write_report(folder, {store.name.lower(): tables for store in stores})


def batches(folder: Path) -> list[RowBatch]:
    """The rows of a session, a batch a segment."""
    builder = Builder(manifest_of(folder).session)
    found = []
    for _, pieces in groupby(read_session(folder), key=lambda frames: frames.segment):
        for one in (run for frames in pieces for run in frames.records):
            builder.feed(one)
        found += [made.rows() for made in builder.take()]
    return found


def manifest_of(folder: Path) -> Manifest:
    """What the session says of itself."""
    about = manifests.read(folder)
    assert about is not None
    return about


def checked(data: Path, name: Path | None = None, *, clickhouse: bool = False, pid: int | None = None) -> Report:
    """What `verify` finds in a data folder, or in the session that is named."""
    what = scope(Settings(data_dir=data, clickhouse=clickhouse), str(name or data))
    found = Report(str(data))
    for _ in steps(what, found, pid):
        pass
    found.close()
    return found


def only(found: Report) -> SessionReport:
    """The one session in it."""
    (session,) = found.sessions
    return session


def damage(found: Report) -> list[Finding]:
    """All that is damaged."""
    every = [*found.findings, *(finding for one in found.sessions for finding in one.findings)]
    return [finding for finding in every if finding.level == "damage"]


def flip(path: Path, at: int) -> None:
    """Changes one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << (at % 8)
    path.write_bytes(data)
