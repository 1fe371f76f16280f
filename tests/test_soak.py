"""The soak in a small form: it records, samples, counts, and judges by the right minutes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "soak.py"


@pytest.fixture(scope="module")
def soak() -> Any:
    spec = spec_from_file_location("soak", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["soak"] = module
    spec.loader.exec_module(module)
    return module


def samples(soak: Any, grown: list[float]) -> list[Any]:
    """One a minute, in MB."""
    return [soak.Sample(60.0 * minute, round(1000 * mb), 0, 1 + minute) for minute, mb in enumerate(grown)]


def test_the_slope_is_that_after_the_tenth_minute(soak: Any) -> None:
    grown = [500.0 + 50 * minute for minute in range(10)] + [1000.0 + 2 * minute for minute in range(11)]

    assert soak.slope(samples(soak, grown), 20.0) == pytest.approx(2.0)


def test_of_a_shorter_run_it_is_that_of_the_second_half_and_of_none_it_is_unknown(soak: Any) -> None:
    assert soak.slope(samples(soak, [0, 100, 200, 200, 200]), 4.0) == pytest.approx(0.0)
    assert soak.failures(soak.Soak([], soak.Counter(), "", 0.0, 0), 4.0) == ["it grows by nan MB a minute"]


def test_warnings_are_counted_by_kind(soak: Any, tmp_path: Path) -> None:
    (tmp_path / "EVENTS_20261124_050102.log").write_text(
        "2026-11-24 05:01:02 | a | WARNING  | Reading stood still for 1.2s: behind\n"
        "2026-11-24 05:01:03 | a | WARNING  | Reading stood still for 3.4s: behind\n"
        "2026-11-24 05:01:04 | a | INFO     | all is well\n    a traceback | has | no | columns\n"
        "2026-11-24 05:01:05 | b | ERROR    | no\n"
    )

    assert soak._warnings(tmp_path) == {"Reading stood still for Ns: behind": 2, "no": 1}


def test_a_short_soak_of_the_whole_recorder(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--minutes", "0.3", "--rate", "300", "--markets", "5", "--json"]
    done = subprocess.run(  # noqa: S603  our own
        [*command, "--no-clickhouse", "--folder", str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    report = json.loads(done.stdout)

    assert report["code"] == 0, done.stderr
    assert report["samples"]
    assert report["frames_a_second"] > 100
    assert "received" in report["tally"]
    assert list(tmp_path.iterdir()) == []
