"""sinks.json: what each sink holds of a session, as a report and never a cursor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal.files import read_regular
from kalshi_trio.journal.manifest import write
from kalshi_trio.own_hash import checked_json


class Stored(Struct):
    """One table in one sink: rows stored, rows pending, and the frame up to which it is known to hold all."""

    stored: int = 0
    pending: int = 0
    through: int = 0


Report = dict[str, dict[str, Stored]]


def of_sink(made: Mapping[str, int], there: Mapping[str, int] | None, last: int, through: int = 0) -> dict[str, Stored]:
    """What one sink holds of a session that ends at record `last`: the rows `made` of each table, and those `there`.

    `there`: as the sink counted them just now, None where it was not asked or did not say: then none is vouched for.
    `through`: up to which record it is known to hold all rows, where some are pending.
    """
    rows = {table: (there or {}).get(table, 0) for table in made}
    whole = all(rows[table] >= number for table, number in made.items())
    return {
        table: Stored(rows[table], max(number - rows[table], 0), last if whole else through)
        for table, number in made.items()
    }


def write_report(folder: Path, report: Report) -> None:
    """Puts sinks.json, whole or not at all."""
    write(folder / "sinks.json", {**report, "retired": []})


class Said(NamedTuple):
    """What sinks.json says: each sink's tables, and the segments that retention has deleted."""

    sinks: Report
    retired: list[int]


def read_report(folder: Path) -> Said:
    """What sinks.json says; nothing if there is none. Raises JournalDamaged if it cannot be read."""
    try:
        said = checked_json(read_regular(folder / "sinks.json"))
        retired = msgspec.convert(said.pop("retired", []), list[int])
        return Said(msgspec.convert(said, Report), retired)
    except FileNotFoundError:
        return Said({}, [])
    except (OSError, ValueError) as error:
        raise JournalDamaged(f"{folder / 'sinks.json'}: {error}") from error


def pending(folder: Path, sink: str) -> bool:
    """Whether some row of the session may be missing in `sink`: also where nothing was reported."""
    try:
        tables = read_report(folder).sinks.get(sink)
    except JournalDamaged:
        return True
    return tables is None or any(table.pending for table in tables.values())
