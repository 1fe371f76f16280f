"""The private key's file."""

from __future__ import annotations

from pathlib import Path

from kalshi_trio.errors import ConfigError
from kalshi_trio.protocol.auth import Signer


def load_signer(key_id: str, path: Path) -> Signer:
    """A signer with the key in `path`; ConfigError, naming the path, where there is none to be had."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        text = f"The private key {path} cannot be read ({error.strerror}). See KALSHI_PRIVATE_KEY_PATH"
        raise ConfigError(text) from error
    return Signer(key_id, pem, str(path))
