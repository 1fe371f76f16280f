"""`--audit` from the command line: processes of their own, REST over loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
from test_refusals import MARKET, environment, exchange, record

from kalshi_trio.journal.manifest import Manifest, read


def sealed(data: Path) -> Manifest:
    (session,) = (data / "sessions").glob("SESSION_*")
    manifest = read(session)
    assert manifest is not None
    return manifest


def test_the_demo_audited_finds_its_exchange_truthful(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kalshi_trio", "demo", "--audit", "600", "--seconds", "5", "--no-clickhouse"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    manifest = sealed(tmp_path / "data" / "demo")
    audits = manifest.tally.audits
    assert audits.get("exact", 0) + audits.get("consistent", 0) > 0
    assert audits.keys() <= {"exact", "consistent", "undecidable"}  # what is under way at the end is undecidable
    assert manifest.tally.rows["audits"].made == sum(audits.values())
    assert manifest.verdict == "complete"
    assert "INFO     | audits against REST: " in done.stderr
    assert done.stderr.count("HTTP Request") == 0


def test_an_exchange_that_lies_is_found_out(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603  our own command
        exchange("--port", "0", "--lie", "4", "--rate", "20"), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        settings = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        done = record(tmp_path, settings, "--audit", "120", "--seconds", "15")
        process.terminate()

    assert done.returncode == 0, done.stderr
    manifest = sealed(tmp_path / "data")
    assert manifest.tally.audits["inconsistent"] > 0
    assert manifest.verdict == "known gaps"
    assert f"WARNING  | Audit: REST shows {MARKET} otherwise in 1 level" in done.stderr
    gaps = ds.dataset(tmp_path / "data" / "parquet" / "gaps", partitioning="hive").to_table().to_pylist()
    assert {row["cause"] for row in gaps} == {"audit"}
    assert [row["event"] for row in gaps][:2] == ["opened", "healed"]
    assert manifest.coverage[MARKET].gap_seconds > 0
