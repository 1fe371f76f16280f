"""The words against the truth: each fault of the simulated exchange and each death, over many seeds, in virtual time.

    python scripts/gap_truth.py [--seeds 20] [--first 1] [--fault NAME ...]

A line a fault: how many deltas the exchange meant to send, how many of them are lost, how many of those lie outside a gap
of their market, at how many instants a book that is called whole was not the exchange's, how long the longest gap is, by
how much it is longer than the fault explains, and words that are kinder (or harsher) than what happened. Exit code 1
unless all but the first two and the longest are 0.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from truth import BOUNDS, UNTELLABLE, Found, live  # noqa: E402

HEAD = f"{'fault':<14}{'meant':>9}{'lost':>8}{'outside':>9}{'wrong':>7}{'longest':>10}{'beyond':>8}{'kinder':>8}{'harsher':>9}"


def main() -> int:
    """Runs them all and prints the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--fault", nargs="*", choices=BOUNDS, default=list(BOUNDS))
    given = parser.parse_args()
    logging.getLogger("kalshi_trio").addHandler(logging.NullHandler())
    logging.getLogger("kalshi_trio").propagate = False
    began, at, total, bad = time.monotonic(), 0, given.seeds * len(given.fault), list[str]()
    everything: list[Found] = []
    print(HEAD)
    for fault in given.fault:
        some: list[Found] = []
        for seed in range(given.first, given.first + given.seeds):
            some.append(live(fault, seed))
            at += 1
            bad += [f"{fault}, seed {seed}: {some[-1]}"] * some[-1].bad
            if sys.stderr.isatty():
                left = (time.monotonic() - began) / at * (total - at)
                print(f"\r{at} of {total}, {left:.0f}s left   \r", end="", file=sys.stderr)
        print(line(fault, some), flush=True)
        everything += some
    print(line("all", [one for one in everything if one.fault not in UNTELLABLE]))
    print(f"{total} runs, {sum(one.done for one in everything)} faults and deaths, {len(bad)} not as they should be")
    for text in bad:
        print(text)
    for fault, why in UNTELLABLE.items():
        print(f"{fault}: {why}")
    return int(bool(bad))


def line(fault: str, some: list[Found]) -> str:
    """What these came to."""
    meant, lost, outside, wrong = (sum(getattr(one, name) for one in some) for name in COUNTS)
    longest, beyond = max(one.longest_s for one in some), max(one.beyond_s for one in some)
    kinder, harsher = sum(len(one.kinder) for one in some), sum(len(one.harsher) for one in some)
    figures = f"{meant:>9,}{lost:>8,}{outside:>9}{wrong:>7}{longest:>9.1f}s{beyond:>8.1f}{kinder:>8}{harsher:>9}"
    return f"{fault:<14}{figures}"


COUNTS = ("meant", "lost", "outside", "wrong")

if __name__ == "__main__":
    sys.exit(main())
