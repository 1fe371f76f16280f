"""Signed headers, as the exchange wants them for the handshake of a websocket and for REST.

What is signed is `<ms><METHOD><path>`, in base64. An RSA key does it by RSA-PSS (SHA-256, MGF1 with SHA-256, salt of 32
bytes; about 1 ms with 2048 bits), an Ed25519 key as RFC 8032 says (64 bytes). Which of them it is, the parsed key tells:
both come as `BEGIN PRIVATE KEY`. The exchange accepts a time that is some 10 s off: sign just before sending, and for
each connection anew.
"""

from __future__ import annotations

import base64
import binascii
import warnings

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kalshi_trio.errors import ConfigError
from kalshi_trio.protocol.names import shown_id

KEY, STAMP, SIGNATURE = "KALSHI-ACCESS-KEY", "KALSHI-ACCESS-TIMESTAMP", "KALSHI-ACCESS-SIGNATURE"

PrivateKey = RSAPrivateKey | Ed25519PrivateKey
PublicKey = RSAPublicKey | Ed25519PublicKey

_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
_HINT = (
    "Set KALSHI_PRIVATE_KEY_PATH to the file that the exchange gave you: an RSA or Ed25519 private key, in PEM form "
    "and not encrypted"
)
_NO_PRIVATE_KEYS = {
    b"PUBLIC KEY-----": "a public key",
    b"CERTIFICATE-----": "a certificate",
    b"OPENSSH PRIVATE KEY-----": "a key in OpenSSH's own form",
}


class Signer:
    """Signs with one API key; its repr shows the last characters of the key's id and nothing else."""

    def __init__(self, key_id: str, pem: bytes, name: str) -> None:
        """Takes PKCS#1 or PKCS#8 PEM; ConfigError, naming `name`, for anything else, and for an id that is none."""
        self.key_id = key_id.strip()
        if not self.key_id.isascii() or not self.key_id.isprintable() or not self.key_id or " " in self.key_id:
            raise ConfigError("KALSHI_API_KEY_ID is no key id: it looks like a952bcbe-ec3b-4b5b-b8f9-11dae589608c")
        self._key = _load(pem, name)

    def __repr__(self) -> str:
        return f"Signer({shown_id(self.key_id)!r})"

    def headers(self, method: str, path: str, now_ms: int) -> list[tuple[str, str]]:
        """The three headers for `method` on `path` (without host and query) at `now_ms` (Unix milliseconds)."""
        signature = _sign(self._key, f"{now_ms}{method}{path}".encode())
        return [(KEY, self.key_id), (STAMP, str(now_ms)), (SIGNATURE, base64.b64encode(signature).decode())]


def verify(key: PublicKey, signature: str, method: str, path: str, stamp: str) -> bool:
    """Whether `signature` (base64) is that of `key`'s owner for this method, path and time stamp."""
    text = f"{stamp}{method}{path}".encode()
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, RSAPublicKey):
            key.verify(raw, text, _PSS, hashes.SHA256())
        else:
            key.verify(raw, text)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _sign(key: PrivateKey, text: bytes) -> bytes:
    return key.sign(text, _PSS, hashes.SHA256()) if isinstance(key, RSAPrivateKey) else key.sign(text)


def _load(pem: bytes, name: str) -> PrivateKey:
    # The library's own texts are left out: they may quote what they could not read.
    try:
        with warnings.catch_warnings(action="ignore"):  # of kinds that are old: they are refused below
            key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigError(f"The private key in {name} is encrypted: decrypt it (openssl pkey). {_HINT}") from None
    except (ValueError, UnsupportedAlgorithm):
        found = next((what for label, what in _NO_PRIVATE_KEYS.items() if label in pem), "no private key in PEM form")
        raise ConfigError(f"{name} holds {found}. {_HINT}") from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey")
        raise ConfigError(f"The private key in {name} is of another kind ({kind}). {_HINT}")
    try:
        _sign(key, b"")
    except ValueError:
        raise ConfigError(f"The RSA key in {name} is too short to sign with. {_HINT}") from None
    return key
