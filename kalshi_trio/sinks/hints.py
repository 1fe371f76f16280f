"""Progress hints: what a sink is said to hold to its end, believed only where nothing speaks against it.

A hint saves reading a session again for tables that stay empty for days. One that says too much costs rows, for ever: so
it carries a SHA-256 over all it says, and what each table held when it was left. A table that holds less by now has lost
rows, and a hint beyond the journal's last record was never true.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from kalshi_trio.logging_config import get_logger

log = get_logger(__name__)

NEVER = 2**63 - 1
"""A frame that no session reaches."""


def seal(session: str, through: int, held: Mapping[str, int]) -> dict[str, object]:
    """A hint as it is kept: `session`, `through`, `held` (table → last frame, as JSON text), `sha256`."""
    text = json.dumps(dict(sorted(held.items())))
    return {"session": session, "through": through, "held": text, "sha256": _digest(session, through, text)}


def believed(sink: str, kept: Mapping[str, object], session: str, held: Mapping[str, int] | None, last: int) -> int:
    """The frame that a kept hint says, or 0 and a line in the log that says why it is ignored.

    `held`: what each table holds now, None if nobody knows; `last`: the journal's last record.
    """
    if not kept:
        return 0
    through, text = kept.get("through"), kept.get("held")
    if not (isinstance(through, int) and isinstance(text, str) and kept.get("session") == session):
        return _ignored(sink, session, "it cannot be read, or is an older version's")
    if kept.get("sha256") != _digest(session, through, text):
        return _ignored(sink, session, "its checksum is not that of what it says")
    if through > last:
        return _ignored(sink, session, f"it says frame {through}, and the journal ends at {last}")
    for table, frame in json.loads(text).items() if held is not None else ():
        if held is not None and held.get(table, 0) < frame:
            return _ignored(
                sink, session, f"{table} held rows up to frame {frame} then, and now only up to {held.get(table, 0)}"
            )
    return through


def _digest(session: str, through: int, held: str) -> str:
    return hashlib.sha256(f"{session}\n{through}\n{held}".encode()).hexdigest()


def _ignored(sink: str, session: str, why: str) -> int:
    log.warning("%s: the progress hint of session %s is ignored: %s", sink, session, why)
    return 0
