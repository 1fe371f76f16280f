"""Kills a writing process at random moments; `KALSHI_KILL_ROUNDS` asks for more rounds than the three of CI."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = int(os.environ.get("KALSHI_KILL_ROUNDS", "3"))
_CHILD = Path(__file__).with_name("sink_child.py")


def kill_at_random(kind: str, folder: Path, rounds: int, within: float) -> int:
    """Runs the child `rounds` times on the same folder and kills each `within` seconds of its readiness.

    Then lets one end by itself. Returns how many were really killed while they wrote.
    """
    random_ = random.Random(rounds)  # noqa: S311  test data
    killed = 0
    for seed in range(rounds):
        with _start(kind, folder, seed) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(random_.uniform(0, within))
            killed += child.poll() is None
            child.kill()
    with _start(kind, folder, rounds) as child:
        assert child.wait(60) == 0
    return killed


def _start(kind: str, folder: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(_CHILD), kind, str(folder), str(seed)]
    # clickhouse-connect hands rows to chDB in a temporary file, which a kill leaves behind.
    environment = os.environ | {"TMPDIR": str(folder.parent)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)  # noqa: S603  our own child
