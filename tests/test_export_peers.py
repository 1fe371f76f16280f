"""Exports opened with the tools that they are for, in an environment of their own: their books are ours, all along."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import recordings
from exports import Moment, exported, moments
from fed import A, delta, frame, snapshot
from imports import Imported, envelopes, imported, written

from kalshi_trio.history.times import parse

HERE = Path(__file__).parent
START = 1_795_496_462_000_000_000
Ask = Callable[..., dict[str, Any]]


@cache
def peers() -> str:
    """The Python that has the tools; skips, and says why, where they cannot be installed."""
    try:
        done = subprocess.run(  # noqa: S603
            [HERE.parent / "scripts" / "peers.sh"], capture_output=True, text=True, timeout=600, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        pytest.skip(f"the tools that read exports cannot be installed: {why}")
    return done.stdout.strip()


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Runs a script with the tools."""
    python = peers()

    def run(script: str, *arguments: object) -> dict[str, Any]:
        command = [python, str(HERE / script), *map(str, arguments)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)  # noqa: S603
        assert done.returncode == 0, done.stderr[-3000:]
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    return run


def some(known: list[Moment], many: int) -> list[Moment]:
    """Moments of which the book is known: behind all records with that stamp, and not inside a crossing."""
    last = {moment.ts_recv: moment for moment in known}
    fit = [moment for moment in last.values() if not moment.crossed]
    return sorted(random.Random(7).sample(fit, min(many, len(fit))))  # noqa: S311  test data


def trades_of(session: Imported, market: str) -> list[list[int]]:
    table = session.rows()["trades"]
    columns = [table[name].to_pylist() for name in ("market", "yes_price", "count")]
    return [[int(price * 10_000), int(n * 100)] for name, price, n in zip(*columns, strict=True) if name == market]


def check(ask: Ask, session: Imported, folder: Path, market: str) -> None:
    """Best prices at 60 moments, the last book level by level, the trades."""
    known = moments(session.rows(), market)
    along = some(known, 60)
    stamps = [moment.ts_recv for moment in along]
    exported(folder, session.manifest.name, "hftbacktest", folder / f"hft_{market}", markets=(market,))
    exported(folder, session.manifest.name, "nautilus", folder / f"cat_{market}", markets=(market,))
    said = ask("peer_hftbacktest.py", folder / f"hft_{market}" / f"{market}.npz", *stamps)
    said["nautilus"] = ask("peer_nautilus.py", folder / f"cat_{market}", market, *stamps)
    levels = {
        "bids": {str(price): size for price, size in known[-1].bids.items()},
        "asks": {str(price): size for price, size in known[-1].asks.items()},
    }

    assert len(along) > 3
    assert said.keys() == {"hashmap", "roi", "nautilus"}
    for kind, answer in said.items():
        assert answer["along"] == [moment.top for moment in along], kind
        assert answer["last"] == known[-1].top, kind
        assert {side: answer[side] for side in levels} == levels, kind
        assert [told[:2] for told in answer["trades"]] == trades_of(session, market), kind
    assert said["nautilus"]["crossed"] == 0


@recordings.needed
@pytest.mark.parametrize(
    ("name", "market"),
    [
        ("btc15m_2026-05-15T2131.ndjson.gz", "KXBTC15M-26MAY151745-45"),
        ("ufc_2026-03-07.ndjson.gz", "KXUFCFIGHT-26MAR07TOBNUR-TOB"),
    ],
)
def test_their_books_are_ours_all_along_a_recording(ask: Ask, name: str, market: str, tmp_path: Path) -> None:
    """The first has lost connections, a close and 23 crossings inside an instant; the second trades."""
    check(ask, imported(tmp_path, recordings.FOLDER / name), tmp_path, market)


def session_with_all(folder: Path) -> Imported:
    """A hole that heals, one by a connection, a crossing in an instant, trades that are told late and early, a close."""
    trade = {"market_ticker": A, "yes_price_dollars": "0.4100", "no_price_dollars": "0.5900", "count_fp": "2.50"}
    ms = START // 10**6
    first = [
        snapshot(1, yes=[["0.4000", "5.00"], ["0.3000", "1.25"]], no=[["0.5500", "7.00"], ["0.5000", "3.00"]]),
        delta(2, "0.4100", "1.00", at=".1"),
        frame("trade", 2, 1, msg={**trade, "trade_id": "late", "taker_side": "yes", "ts_ms": ms + 50}),
        delta(3, "0.4600", "2.00", at=".2"),  # crosses the ask at 0.45
        delta(4, "0.5500", "-7.00", side="no", at=".2"),
        delta(5, "0.5500", "4.00", side="no", at=".25"),  # again, and this time the bid goes
        delta(6, "0.4600", "-2.00", at=".25"),
        frame("trade", 2, 2, msg={**trade, "trade_id": "early", "taker_side": "no", "ts_ms": ms + 300}),
        delta(7, "0.4200", "3.00", at=".3"),
        delta(9, "0.4300", "3.00", at=".4"),  # 8 is lost
        delta(10, "0.4300", "1.00", at=".5"),
        snapshot(11, yes=[["0.4300", "9.00"]], no=[["0.5000", "8.00"]]),
        delta(12, "0.4400", "3.00", at=".6"),
    ]
    second = [
        snapshot(1, yes=[["0.2000", "6.00"]]),
        delta(2, "0.2000", "-6.00", at=".9"),
        delta(3, "0.25", "1", at=".95"),
    ]
    lines = envelopes(first, begin_ns=START + 100_000_000)
    lines += envelopes(second, conn=2, begin_ns=START + 950_000_000)
    return imported(folder, written(folder / "all.jsonl", *lines))


def test_holes_crossings_and_late_trades_are_what_they_are_there(ask: Ask, tmp_path: Path) -> None:
    session = session_with_all(tmp_path)
    causes = session.rows()["gaps"]["cause"].to_pylist()

    assert causes == ["sequence", "sequence", "reconnect", "reconnect"]
    check(ask, session, tmp_path, A)


def test_a_part_begins_with_the_books_as_they_stand(ask: Ask, tmp_path: Path) -> None:
    session = session_with_all(tmp_path)
    known = moments(session.rows(), A)
    wish: dict[str, Any] = {"start": parse("#6"), "end": parse("#10")}
    done = exported(tmp_path, session.manifest.name, "hftbacktest", tmp_path / "part.npz", **wish)
    catalog = exported(tmp_path, session.manifest.name, "nautilus", tmp_path / "part", **wish)
    said = ask("peer_hftbacktest.py", tmp_path / "part.npz")
    there = ask("peer_nautilus.py", tmp_path / "part", A)

    # Records 1 and 2 begin the session, 3 is the snapshot; 9 is the last of the part.
    assert (done.records, catalog.records) == ((6, 9), (6, 9))
    assert said["hashmap"]["last"] == said["roi"]["last"] == there["last"] == known[5].top
    assert {int(price): size for price, size in said["hashmap"]["bids"].items()} == known[5].bids
    assert {int(price): size for price, size in there["asks"].items()} == known[5].asks


def test_the_catalogs_columns_are_that_tools_own(ask: Ask, tmp_path: Path) -> None:
    session = session_with_all(tmp_path)
    exported(tmp_path, session.manifest.name, "nautilus", tmp_path / "catalog")
    own = ask("peer_schemas.py", f"{A}.KALSHI", tmp_path / "own")

    for folder, schema in own.items():
        (path,) = (tmp_path / "catalog" / "data" / folder).rglob("*.parquet")
        ours = pq.read_schema(path)
        assert ours.to_string(show_schema_metadata=True) == schema
