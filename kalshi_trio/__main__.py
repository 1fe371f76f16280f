"""`python -m kalshi_trio`."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from kalshi_trio.heap import share_one_heap


def main() -> None:
    """Runs the command line. A signal that comes before there is anything to drain ends the process at once.

    As the first process of a container it must ask for SIGTERM itself: the kernel drops what such a process has no
    handler for, and the recorder's own one is there only after its imports.
    """
    signal.signal(signal.SIGTERM, _leave)
    share_one_heap()
    try:
        from kalshi_trio.cli import main as run  # noqa: PLC0415 -- the handler comes first

        run()
    except KeyboardInterrupt:
        sys.exit(130)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
