"""Signed headers, as the exchange wants them for the handshake of a websocket and for REST.

The signature is RSA-PSS (SHA-256, MGF1 with SHA-256, salt of 32 bytes) over `<ms><METHOD><path>`, in base64. It takes
about 1 ms with a key of 2048 bits. The exchange accepts a time that is some 10 s off: sign just before sending, and for
each connection anew.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kalshi_trio.errors import ConfigError

KEY, STAMP, SIGNATURE = "KALSHI-ACCESS-KEY", "KALSHI-ACCESS-TIMESTAMP", "KALSHI-ACCESS-SIGNATURE"

_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
_HINT = "Set KALSHI_PRIVATE_KEY_PATH to the RSA key file that the exchange gave you"


class Signer:
    """Signs with one API key; its repr shows the key's id and nothing else."""

    def __init__(self, key_id: str, pem: bytes, name: str) -> None:
        """Takes PKCS#1 or PKCS#8 PEM; ConfigError, naming `name`, for anything else, and for an id that is none."""
        self.key_id = key_id.strip()
        if not self.key_id.isascii() or not self.key_id.isprintable() or not self.key_id or " " in self.key_id:
            raise ConfigError("KALSHI_API_KEY_ID is no key id: it looks like a952bcbe-ec3b-4b5b-b8f9-11dae589608c")
        self._key = _load(pem, name)

    def __repr__(self) -> str:
        return f"Signer({self.key_id!r})"

    def headers(self, method: str, path: str, now_ms: int) -> list[tuple[str, str]]:
        """The three headers for `method` on `path` (without host and query) at `now_ms` (Unix milliseconds)."""
        signature = self._key.sign(f"{now_ms}{method}{path}".encode(), _PSS, hashes.SHA256())
        return [(KEY, self.key_id), (STAMP, str(now_ms)), (SIGNATURE, base64.b64encode(signature).decode())]


def verify(key: rsa.RSAPublicKey, signature: str, method: str, path: str, stamp: str) -> bool:
    """Whether `signature` (base64) is that of `key`'s owner for this method, path and time stamp."""
    try:
        key.verify(base64.b64decode(signature, validate=True), f"{stamp}{method}{path}".encode(), _PSS, hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _load(pem: bytes, name: str) -> rsa.RSAPrivateKey:
    # The library's own texts are left out: they may quote what they could not read.
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigError(f"The private key in {name} is encrypted: decrypt it (openssl pkey) and try again") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{name} holds no private key in PEM form. {_HINT}") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError(f"The private key in {name} is no RSA key. {_HINT}")
    return key
