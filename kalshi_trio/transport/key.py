"""The private key's file."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path

from kalshi_trio.errors import ConfigError
from kalshi_trio.protocol.auth import Signer

MOST_BYTES = 1 << 16
"""A key of 16,384 bits has 13 kB; what is longer (a device, say) is none."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def load_signer(key_id: str, path: Path) -> Signer:
    """A signer with the key in `path`; ConfigError, naming the file but not its folder, where there is none to be had."""
    name = _name(path)
    try:
        with open(path, "rb", opener=_regular) as file:
            pem = file.read(MOST_BYTES)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file has such a name"
        text = f"The private key {name} cannot be read ({why}). See KALSHI_PRIVATE_KEY_PATH (`config` shows it)"
        raise ConfigError(text) from None
    return Signer(key_id, pem, name)


def exposed(path: Path) -> str:
    """What is to be said of a key's file that others may read, "" for nothing."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if not stat.S_ISREG(mode) or not mode & _OTHERS:
        return ""
    return (
        f"Others may read the private key {_name(path)} (mode {stat.S_IMODE(mode):04o}), see KALSHI_PRIVATE_KEY_PATH: "
        f"chmod 600 {shlex.quote(_name(path))}"
    )


def _regular(path: str, flags: int) -> int:
    """Opens a regular file only: a pipe nobody writes into would keep its reader, and hold back signals, for ever."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file")


def _name(path: Path) -> str:
    name = path.name or str(path)
    return name if name.isprintable() else ascii(name)
