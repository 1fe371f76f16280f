"""Files that people have (`cases/`), and others of each kind: what an import makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import recordings
from imports import Imported, imported

CASES = recordings.FOLDER.parent / "cases"
needed = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases in {CASES}")
BEGIN = 1_791_180_700_000_000_000
MARKET = "KXA-26DEC31-T1"


def case(folder: Path, *names: str) -> Imported:
    return imported(folder, *(CASES / name for name in names))


def opened(session: Imported) -> list[dict[str, Any]]:
    return [row for row in session.rows()["gaps"].to_pylist() if row["event"] == "opened"]


def whole(session: Imported) -> None:
    assert opened(session) == []
    assert session.manifest.verdict == "complete"


def kinds(session: Imported) -> dict[str, int]:
    return dict(session.manifest.tally.by_type)


@needed
def test_a_bom_belongs_to_the_text_whatever_packed_it(tmp_path: Path) -> None:
    session = case(tmp_path, "bom_in_gz.jsonl.gz")

    whole(session)
    assert kinds(session) == {"orderbook_snapshot": 1, "orderbook_delta": 1}


@needed
def test_markers_that_say_what_they_are_in_their_type(tmp_path: Path) -> None:
    session = case(tmp_path, "marker_by_type.jsonl")
    (gap,) = opened(session)

    assert session.manifest.tally.received == 4
    assert {connection for connection, _ in session.stamps()} == {1, 2}
    assert (gap["cause"], gap["opened_at"].value) == ("reconnect", BEGIN + 1_000_000_000)


@needed
def test_what_rotated_files_repeat_is_taken_once(tmp_path: Path) -> None:
    session = case(tmp_path, "overlap_rotated.1.jsonl", "overlap_rotated.2.jsonl")

    whole(session)
    assert session.manifest.tally.received == 100
    assert session.manifest.settings["repeated"] == 10
    assert {cover.gap_seconds for cover in session.manifest.coverage.values()} == {0}


@needed
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_file_a_market_of_one_connection_is_put_in_order(order: str, tmp_path: Path) -> None:
    session = case(tmp_path, *(f"per_market_files.{name}.jsonl" for name in order))

    whole(session)
    assert session.manifest.tally.received == 42
    assert {connection for connection, _ in session.stamps()} == {1}
    assert session.rows()["deltas"]["seq"].to_pylist() == list(range(3, 43))
    ends = {row["market"]: row for row in session.rows()["deltas"].to_pylist()}
    assert {market: (str(row["price"]), str(row["size"])) for market, row in ends.items()} == {
        "KXA-26DEC31-T1": ("0.4600", "20.00"),
        "KXB-26DEC31-T2": ("0.4600", "20.00"),
    }


@needed
def test_private_frames_are_known_by_how_their_names_begin(tmp_path: Path) -> None:
    session = case(tmp_path, "rfq_batch_private.jsonl")

    assert session.manifest.settings["private"] == 3
    assert session.manifest.tally.received == 2
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert b"batch_1" not in kept
    assert b"o1" not in b"".join(session.frames)


@needed
@pytest.mark.parametrize("name", ["time_iso_comma", "time_ts_recv"])
def test_times_of_receipt_as_people_name_and_write_them(name: str, tmp_path: Path) -> None:
    session = case(tmp_path, f"{name}.jsonl")

    assert {ns for _, ns in session.stamps()} == {1_791_180_702_500_000_000}
    assert session.manifest.clock == "receive"


@needed
def test_a_reply_for_a_sid_that_there_is_begins_a_connection(tmp_path: Path) -> None:
    session = case(tmp_path, "trades_two_connections.jsonl")
    (gap,) = opened(session)

    assert {connection for connection, _ in session.stamps()} == {1, 2}
    assert gap["cause"] == "reconnect"
    assert session.rows()["trades"].num_rows == 50
    assert "repeated" not in session.manifest.settings


@needed
def test_an_envelope_may_have_a_type_of_its_own(tmp_path: Path) -> None:
    session = case(tmp_path, "typed_envelope.jsonl")

    assert kinds(session) == {"orderbook_snapshot": 1, "orderbook_delta": 1}
    assert session.manifest.markets == [MARKET]
    assert [ns for _, ns in session.stamps()] == [BEGIN, BEGIN + 5_000_000]
