"""Recordings of the live exchange, imported: what the session's journal makes is what an independent book found."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import recordings
from imports import Imported, imported
from rebuilt import Rebuilt
from stores import digests, parquet

pytestmark = recordings.needed

WHOLE = recordings.NAMES if os.environ.get("KALSHI_FULL") else recordings.NAMES[:-1]
"""The longest (600,000 frames) is imported to its end only if asked for."""
COUNTS = ("snapshots", "deltas", "deltas_unanchored", "deltas_while_invalid_after_gap", "trades", "ticker_msgs")
WORDS = ("gap_count", "missing", "dups", "regressions")


def check(session: Imported, known: dict[str, Any]) -> None:
    """Counts by type and market, every sid's run of numbers, the last books and those before a close emptied them."""
    tally = session.manifest.tally
    rebuilt = Rebuilt(session.rows(), max(connection for connection, _ in session.stamps()))
    books = rebuilt.markets

    assert tally.received == sum(known["frames_by_type"].values())
    assert tally.by_type == {kind: many for kind, many in known["frames_by_type"].items() if many}
    assert tally.received == tally.journalled == tally.decoded + tally.control + tally.unknown + tally.refused
    assert sorted(session.manifest.markets) == sorted(known["markets"])
    assert {n: {c: m.counts[c] for c in COUNTS} for n, m in books.items()} == {
        n: {c: m[c] for c in COUNTS} for n, m in known["markets"].items()
    }
    assert {n: {w: rebuilt.runs[n][w] for w in WORDS} for n in known["sequences"]} == {
        n: {w: run[w] for w in WORDS} for n, run in known["sequences"].items()
    }
    assert rebuilt.bests == known["bbo_digest"]
    assert rebuilt.digest() == known["book_digest"]
    assert rebuilt.digest(before_close=True) == known["last_nonempty_book_digest"]


@pytest.mark.parametrize("name", WHOLE)
def test_an_imported_recording_is_what_an_independent_book_found(name: str, tmp_path: Path) -> None:
    known = recordings.figures(name)
    session = imported(tmp_path, recordings.FOLDER / name, parquet=True)
    rows = parquet(tmp_path / "data")
    manifest = session.manifest

    check(session, known)
    assert digests(rows, manifest) == {table: made.digest for table, made in manifest.tally.rows.items()}
    assert {t: r.num_rows for t, r in rows.items() if r.num_rows} == {t: m.made for t, m in manifest.tally.rows.items()}
    gaps = [row for row in rows["gaps"].to_pylist() if row["event"] == "opened" and row["cause"] != "no_book"]
    assert len(gaps) <= known.get("connections", 1) - 1 + joined_late(known)
    assert bool(gaps) == bool(known.get("connections", 1) - 1 + joined_late(known))
    assert manifest.clock == ("receive" if known["shape"] == "envelope" else "exchange")
    assert manifest.settings["files"][0]["sha256"] == known["sha256"]


def test_a_market_that_was_whole_until_its_close_is_covered_whole_and_then_closed(tmp_path: Path) -> None:
    """Three markets behind one another, a connection each; the last one's close is not in the recording any more."""
    session = imported(tmp_path, recordings.FOLDER / "btc15m_2026-05-13T1259.ndjson.gz")
    coverage = session.manifest.coverage

    assert {market: [span[2] for span in found.spans] for market, found in coverage.items()} == {
        "KXBTC15M-26MAY130900-00": ["whole", "closed"],
        "KXBTC15M-26MAY130915-15": ["whole", "closed"],
        "KXBTC15M-26MAY130930-30": ["whole"],
    }
    assert {found.whole_percent for found in coverage.values()} == {100.0}
    assert coverage["KXBTC15M-26MAY130900-00"].spans[0][1] == "2026-05-13T13:00:06.967302144Z"  # its closing snapshot
    assert session.manifest.missing == []


def joined_late(known: dict[str, Any]) -> int:
    """How many sids do not begin with their first number."""
    return sum(run["first_seq"] > 1 for run in known["sequences"].values())


def test_a_recording_that_begins_in_mid_stream_was_joined_late(tmp_path: Path) -> None:
    name = recordings.NAMES[-1]
    with gzip.open(recordings.FOLDER / name) as file:
        beginning = [next(file) for _ in range(30_000)]
    part = tmp_path / "part.jsonl"
    part.write_bytes(b"".join(beginning))
    session = imported(tmp_path, part)

    check(session, recordings.judged(recordings.lines(name, 30_000)))
    assert session.manifest.verdict == "known gaps"
    assert session.rows()["gaps"]["cause"].to_pylist()[0] == "joined_late"
    assert "no_book" in {span[-1] for found in session.manifest.coverage.values() for span in found.spans}


def test_two_recordings_behind_one_another_are_two_connections(tmp_path: Path) -> None:
    """No line says so: the second one's numbers begin again, with an `ok` that is number 1."""
    names = ("btc_2026-04-18.jsonl", "mixed_2026-07-03.jsonl")
    whole = tmp_path / "both.jsonl"
    whole.write_bytes(b"".join((recordings.FOLDER / name).read_bytes() for name in names))
    session = imported(tmp_path, whole)
    together = recordings.judged(line for name in names for line in recordings.lines(name))

    assert {connection for connection, _ in session.stamps()} == {1, 2}
    assert together["connections"] == 2
    check(session, together)


@pytest.mark.parametrize("name", ["protocol_samples.jsonl", "tickers_2026-02.jsonl", "trades_2026-02.jsonl"])
def test_samples_of_every_kind_of_frame_are_taken(name: str, tmp_path: Path) -> None:
    text = (recordings.FOLDER / name).read_text()
    session = imported(tmp_path, recordings.FOLDER / name)
    sent = text.count('"dir":"client"')

    assert session.manifest.tally.received == len(text.splitlines()) - sent
    assert session.manifest.settings["sent"] == sent
    assert session.manifest.settings["refused"] == {"count": 0, "first": []}
    assert session.manifest.tally.refused == session.manifest.tally.unknown == 0
