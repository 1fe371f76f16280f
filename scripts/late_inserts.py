"""Inserts whose answers are lost and that reach the server up to ten seconds late: how many rows stand twice, or not at all.

    python scripts/late_inserts.py [--inserts 120] [--shortest 0.3] [--longest 10] [--seed 1]

The server is the tests' HTTP front over chDB. Each insert belongs to a session of its own, which is written on at once, by
the same store or by a new one, as after a crash. Exit code 1 if a row is doubled or lost, or if an insert never came.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from late import campaign


def main() -> int:
    """Runs the campaign and prints what became of the inserts."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--inserts", type=int, default=120)
    parser.add_argument("--shortest", type=float, default=0.3, help="seconds")
    parser.add_argument("--longest", type=float, default=10.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(Path(folder), given.inserts, given.shortest, given.longest, given.seed)
    print(
        f"{found.inserts} inserts {given.shortest:g} to {given.longest:g} s late: {found.let_in} let in, "
        f"{found.fenced} fenced, {found.killed} killed; {found.doubled} rows doubled, {found.lost} lost"
    )
    for failure in found.failed:
        print(f"not stored to its end: {failure}")
    return int(bool(found.doubled or found.lost or found.failed or found.inserts < given.inserts))


if __name__ == "__main__":
    sys.exit(main())
