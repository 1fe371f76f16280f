"""Who may come in: the signed headers of the handshake, judged as the real exchange judges them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from kalshi_trio.protocol.auth import KEY, SIGNATURE, STAMP, PublicKey, verify

TOLERANCE_MS = 10_000


class Refusal(NamedTuple):
    """An HTTP answer instead of a connection."""

    status: int
    body: bytes


TOO_MANY = Refusal(429, b'{"error":{"code":"too_many_requests"}}')
"""What too many or too quick connections get."""


UNKNOWN_KEY = Refusal(401, b'{"error":{"code":"authentication_error","details":"NOT_FOUND"}}')
"""What a key gets that nobody knows (any more)."""


class Gate:
    """Knows the public keys by their ids."""

    def __init__(self, keys: Mapping[str, PublicKey]) -> None:
        self._keys = dict(keys)

    def judge(self, headers: Mapping[str, str], path: str, now_ms: int) -> Refusal | None:
        """None for a good signature. `headers` by upper-case name."""
        key_id, stamp, signature = (headers.get(name, "") for name in (KEY, STAMP, SIGNATURE))
        if not (key_id and stamp and signature):
            return _refusal("signature_is_missing_from_headers")
        if key_id not in self._keys:
            return UNKNOWN_KEY
        if not stamp.isdigit() or abs(int(stamp) - now_ms) > TOLERANCE_MS:
            return _refusal("header_timestamp_expired")
        if not verify(self._keys[key_id], signature, "GET", path.partition("?")[0], stamp):
            return _refusal("authentication_error", "INCORRECT_API_KEY_SIGNATURE")
        return None


def _refusal(code: str, details: str = "") -> Refusal:
    error = {"code": code} | ({"details": details} if details else {})
    return Refusal(401, json.dumps({"error": error}).encode())
