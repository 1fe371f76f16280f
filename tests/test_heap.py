"""One heap for all threads, as the C library itself counts them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, sys, threading
from kalshi_trio.heap import share_one_heap
share_one_heap()
here, libc = threading.Barrier(5), ctypes.CDLL(None)
def thread():
    kept = [bytes(5000) for _ in range(100)]
    here.wait()
    here.wait()
for _ in range(4):
    threading.Thread(target=thread, daemon=True).start()
here.wait()
libc.fopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fclose(out)
here.wait()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")
@pytest.mark.parametrize(("chosen", "heaps"), [({}, 1), ({"MALLOC_ARENA_MAX": "3"}, 3)])
def test_threads_share_one_heap_unless_somebody_chose_otherwise(chosen: dict[str, str], heaps: int) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run([sys.executable, "-c", HEAPS], env=kept | chosen, capture_output=True, text=True, check=True)  # noqa: S603  our own text

    assert done.stdout.count("<heap nr=") == heaps
