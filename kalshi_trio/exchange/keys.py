"""Throwaway keys for simulated exchanges: the signed path is always the real one."""

from __future__ import annotations

from typing import Literal, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kalshi_trio.protocol.auth import PrivateKey

KeyKind = Literal["ed25519", "rsa"]
KINDS: tuple[KeyKind, ...] = get_args(KeyKind)


def make_key(kind: KeyKind = "rsa") -> PrivateKey:
    """A new key, as long as the real ones; an RSA one takes some 0.1 s."""
    if kind == "ed25519":
        return Ed25519PrivateKey.generate()
    return generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: PrivateKey) -> bytes:
    """As Kalshi hands it out: PKCS#8, and RSA keys PKCS#1, as it did for years."""
    form = PrivateFormat.TraditionalOpenSSL if isinstance(key, RSAPrivateKey) else PrivateFormat.PKCS8
    return key.private_bytes(Encoding.PEM, form, NoEncryption())
