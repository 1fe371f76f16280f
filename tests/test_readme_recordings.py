"""The README's way through a recording is run as it stands, on a demo of its own; figures apart, it prints what is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from readme_text import README, ROOT, shape

SECTION = README.partition("## Work with a recording\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```bash\n(.*?)```(?:\n```text\n(.*?)```)?", SECTION, re.DOTALL)
BARS = re.compile(r"[█▉▊▋▌▍▎▏▓▒░·]+")
HEX = re.compile(r"\b[0-9a-f]{12,64}\b")


def shapes(text: str) -> set[str]:
    return {shape(HEX.sub("#", BARS.sub("", line))) for line in text.splitlines() if line.strip() and line != "…"}


def run(command: str, folder: Path) -> str:
    session = min((folder / "data" / "demo" / "sessions").glob("SESSION_*"), default=Path("none")).name
    line = re.sub(r"SESSION_\d{8}_\d{6}", session, command).replace("python -m", f"{sys.executable} -m")
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "DATA_DIR": "data/demo", "COLUMNS": "100"}
    done = subprocess.run(  # noqa: S602  the README's own commands
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_every_command_about_a_recording_prints_what_the_readme_shows(tmp_path: Path) -> None:
    run("python -m kalshi_trio demo --seconds 5", tmp_path)
    commands = [(block, shown) for block, shown in BLOCKS if "kalshi_trio" in block]

    assert len(commands) >= 6
    for block, shown in commands:
        printed = "".join(run(command, tmp_path) for command in block.splitlines())
        assert shapes(shown) <= shapes(printed), block


def test_every_command_of_the_command_line_is_in_the_readme() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "kalshi_trio", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    names = re.findall(r"^  ([a-z]+)  ", listed.stdout.partition("Commands:")[2], re.MULTILINE)

    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in README and f"kalshi_trio {name}" not in README] == []
