"""What the stores of a recording hold, read back as anybody would read it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from kalshi_trio.journal.digest import TableDigest, session_digest
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.protocol.schema import ROW_SCHEMAS
from kalshi_trio.sinks.clickhouse_places import Embedded


def parquet(data: Path, session: str = "") -> dict[str, pa.Table]:
    """All rows in Parquet, in order."""
    found = {}
    for name, schema in ROW_SCHEMAS.items():
        path = data / "parquet" / name
        mine = ds.field("session") == session if session else None
        table = ds.dataset(path).to_table(schema.names, mine) if path.exists() else schema.empty_table()
        found[name] = table.sort_by([("frame", "ascending"), ("row", "ascending")]).cast(schema)
    return found


def clickhouse(data: Path, session: str = "") -> dict[str, pa.Table]:
    """All rows in ClickHouse, in order."""
    place = Embedded(data / "clickhouse")
    try:
        client = place.connect()
        found = {}
        for name, schema in ROW_SCHEMAS.items():
            columns = ", ".join(f"`{column}`" for column in schema.names)
            mine = f"WHERE session = '{session}'" if session else ""
            asked = f"SELECT {columns} FROM kalshi.{name} {mine} ORDER BY frame, row"  # noqa: S608  our own names
            table = client.query_arrow(asked, use_strings=True)
            found[name] = pa.table([table[c].cast(schema.field(c).type) for c in schema.names], schema=schema)
    finally:
        place.close()
    return found


def digests(tables: dict[str, pa.Table], manifest: Manifest) -> dict[str, str]:
    """Of each table that has rows, cut at the segments' ends as the contract says."""
    found = {}
    for name, table in tables.items():
        parts = []
        frames = table["frame"].to_numpy()
        for segment in manifest.segments:
            lo, hi = segment.frames
            part = table.filter(pa.array((frames >= lo) & (frames <= hi)))
            if part.num_rows:
                digest = TableDigest(name)
                digest.update(part)
                parts.append(digest.hexdigest())
        if parts:
            found[name] = session_digest(parts)
    return found
