"""The only code that takes a file lock: it ends with the process, and says why it cannot be had."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from kalshi_trio.errors import InUse, LocksUnsupported

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What file systems without locks answer (NFS without a lock daemon, some FUSE and cluster file systems)."""

TRIES, TRY_SECONDS = 3, 0.005
"""How often, and how far apart, a lock is tried: `is_held` has it for some microseconds."""


def _take(descriptor: int) -> None:
    """Locks it; BlockingIOError where another process keeps it for longer than one that only asks does."""
    for _ in range(TRIES - 1):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(TRY_SECONDS)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool | None:
    """Whether some process holds the lock of the file at `path`; None where that cannot be known.

    It is asked by trying to share the lock, for an instant: who takes a lock in earnest tries more than once.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


class FileLock:
    """Holds the file at `path` (made if it is not there; its folder must be) against all other processes.

    Raises InUse where another one has it, LocksUnsupported where its file system gives no locks, OSError where it
    cannot be opened; nothing stays open then. Locks of one process exclude each other, too. `setting` is what chooses
    the folder: the errors name it.
    """

    def __init__(self, path: Path, setting: str) -> None:
        self._path = path
        self._fd: int | None = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            _take(self._fd)
        except BlockingIOError as error:
            self.release()
            raise InUse(f"{path} is held by another process: see {setting}.") from error
        except OSError as error:
            self.release()
            what = f"The file system of {path.parent} does not support locks"
            if error.errno not in _NO_LOCKS:
                what = f"{path} cannot be locked"
            raise LocksUnsupported(
                f"{what} ({error.strerror}), so two processes there could not notice each other: "
                f"choose a folder on a local disk ({setting}), or mount this one with locks."
            ) from error

    @property
    def in_place(self) -> bool:
        """Whether the file at its path is the one that is locked: where somebody took it away, the lock keeps nobody out."""
        if self._fd is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Gives the lock up, once; a forked child calls it for its copy, which would outlive the parent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
