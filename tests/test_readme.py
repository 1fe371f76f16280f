"""The README is true: its commands are those that CI runs, its tables those of the code, its output that of the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from readme_text import README, ROOT, blocks, shape

from kalshi_trio import errors
from kalshi_trio.settings import Settings


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    command = next(block.strip() for block in blocks("bash") if "check.sh" in block)

    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_table_of_settings_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", README, re.MULTILINE)

    assert [name.lower() for name, _, _ in rows] == list(Settings.model_fields)
    for name, default, meaning in rows:
        field = Settings.model_fields[name.lower()]
        assert meaning.startswith(field.description or "?")
        assert default in ("", str(field.get_default()))


def test_every_exit_code_of_the_error_tree_is_documented() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.KalshiTrioError)
    ]
    codes = {kind.exit_code for kind in kinds}
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}

    assert codes <= documented
    assert {0, 1, 2, 130} <= documented


@pytest.mark.parametrize("command", sorted(set(re.findall(r"python -m kalshi_trio ([a-z]+)", README))))
def test_every_command_it_names_exists(command: str) -> None:
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "kalshi_trio", command, "--help"], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_demo_ends_as_it_shows(tmp_path: Path) -> None:
    shown = next(block for block in blocks("text") if "Tally" in block and "latest_book" in block)
    done = subprocess.run(
        [sys.executable, "-m", "kalshi_trio", "demo", "--frames", "1500", "--seconds", "300"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    real = {shape(line) for line in (done.stderr + done.stdout).splitlines()}

    missing = [
        line for line in shown.splitlines() if shape(line) not in real and not line.startswith(("INFO     | gap",))
    ]
    assert missing == []
