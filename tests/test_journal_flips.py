"""Damage anywhere in a data folder: nothing crashes, nothing wrong is told as true, no batch is lost but the one that was hit.

The short form of `scripts/flips.py`, which does every bit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "scripts" / "flips.py"


def test_no_damage_is_believed_and_all_of_it_is_named() -> None:
    command = [sys.executable, str(SCRIPT), "--json", "--every", "193", "--other-every", "9001", "--recover-every", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own
    found = json.loads(done.stdout)

    for name, least in (("open segment", 400), ("sealed", 25)):
        tried = found[name].pop("tried")
        assert tried >= least, found
        assert found[name].pop("first_wrong") == "", name
        assert set(found[name].values()) == {0}, name
    assert done.returncode == 0, done.stderr
