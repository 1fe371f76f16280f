"""sinks.json: what each sink holds of a session, as a report and never a cursor."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from kalshi_trio.journal.manifest import write


class Stored(Struct):
    """One table in one sink: rows stored, rows pending, and the frame up to which it is known to hold all."""

    stored: int = 0
    pending: int = 0
    through: int = 0


Report = dict[str, dict[str, Stored]]


def write_report(folder: Path, report: Report) -> None:
    """Puts sinks.json, whole or not at all."""
    write(folder / "sinks.json", {**report, "retired": []})


def pending(folder: Path, sink: str) -> bool:
    """Whether some row of the session may be missing in `sink`: also where nothing was reported."""
    try:
        said = msgspec.json.decode((folder / "sinks.json").read_bytes())
        tables = said.get(sink)
    except (OSError, msgspec.DecodeError, AttributeError):
        return True
    return not isinstance(tables, dict) or any(table.get("pending", 1) for table in tables.values())
