"""One heap for all threads: what glibc's malloc must be asked before there are any."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h."""


def share_one_heap() -> None:
    """Has all threads allocate from one heap, where the C library is glibc and nobody chose otherwise.

    glibc gives each thread a heap of its own. Rows are made in one thread, kept for a while, and freed in others, so what
    those heaps held and nobody used grew by some 20 MB a minute for as long as a soak went; with one heap it is 13 MB, for
    good. To be called before the imports: numpy and the embedded engine start threads, whose heaps stay.
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
