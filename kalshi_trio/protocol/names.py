"""Names that strangers give: what may stand in a row, a log line and a file name; and how our own key's id is shown."""

from __future__ import annotations

from kalshi_trio.errors import WireError

LIMIT = 200
"""The longest real ticker has 55 characters."""


def shown_id(key_id: str) -> str:
    """An API key's id as it may be shown: its last four characters, and of a short one nothing."""
    return f"…{key_id[-4:] if len(key_id) >= 12 else ''}"


def ticker_of(text: str) -> str:
    """`text`, or WireError if it cannot be a ticker (72,482 real ones are capitals, digits, dots and hyphens)."""
    if fit(text):
        return text
    raise WireError(f"{text[:60]!r} ({len(text)} characters) is no market ticker")


def fit(text: str) -> bool:
    """Whether `text` is a short run of printable ASCII without spaces. A path it may be: no row becomes one."""
    return 0 < len(text) <= LIMIT and text.isascii() and text.isprintable() and " " not in text
