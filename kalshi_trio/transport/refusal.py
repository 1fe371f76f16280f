"""What a handshake that was answered no means: try again, wait first, or give it up."""

from __future__ import annotations

from collections.abc import Callable

from kalshi_trio.errors import FeedLost, KeyRefused

MOST_BYTES = 2000
TOO_MANY_SECONDS = 20.0
"""To stay away after "too many requests"; no number is published."""


def refusal(status: int, body: bytes, masked: Callable[[str], str] = str) -> FeedLost | KeyRefused:
    """The error for an HTTP answer other than 101: KeyRefused for a 401 that is not about the time stamp.

    `masked` takes out of the body what must not be shown.

    The bodies were seen by others on the live exchange: `{"error":{"code":"header_timestamp_expired",…}}` where the
    clock is off or the machine slept; `authentication_error` with details for a wrong key, padding or path.
    """
    text = masked(body[:MOST_BYTES].decode("utf-8", errors="replace"))
    said = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
    if status == 401 and b"header_timestamp_expired" in body:
        return FeedLost("the exchange refused our time stamp: is this machine's clock right?")
    if status == 401:
        return KeyRefused(
            f"The exchange refused the API key (401 {said}). Check KALSHI_API_KEY_ID, KALSHI_PRIVATE_KEY_PATH and "
            "KALSHI_ENV: keys of demo and prod differ"
        )
    if status == 429:
        return FeedLost(f"too many connections (429 {said})", wait=TOO_MANY_SECONDS)
    return FeedLost(f"the exchange refused the connection ({status} {said})")
