"""`python -m kalshi_trio`."""

from __future__ import annotations

from kalshi_trio.early_signals import leave_early
from kalshi_trio.heap import share_one_heap


def main() -> None:
    """Runs the command line. A signal that comes before there is anything to drain ends the process at once."""
    leave_early()
    share_one_heap()
    from kalshi_trio.cli import main as run  # noqa: PLC0415 -- the handlers come first

    run()


if __name__ == "__main__":
    main()
