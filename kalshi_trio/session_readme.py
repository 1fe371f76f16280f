"""README.md in a session's folder: what its files are and how to ask them, for whoever has the folder and not us.

Written when the manifest is sealed, outside its chain. It names the manifest's SHA-256, so that the last manifest of a
data folder, which no other one names yet, can be checked, too; and, in its last line, its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa

from kalshi_trio.fileio import write_whole
from kalshi_trio.journal.files import open_regular
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.segment import KINDS
from kalshi_trio.journal.segment import SCHEMA as JOURNAL
from kalshi_trio.own_hash import PLACEHOLDER, whole, with_own_hash
from kalshi_trio.protocol.schema import TABLES

_SECRETS = ("password", "key")
"""A setting with one of these in its name is left out."""
MOST_MARKETS = 200
_WHAT = {
    "frame": "record number, from 1, without a hole",
    "kind": f"one of {', '.join(KINDS)}; `frame`: bytes as the exchange sent them",
    "connection": "number of the connection, 0 for none",
    "ts_recv": "when it was received, by the wall clock",
    "mono_ns": "the same by the monotonic clock, nanoseconds",
    "data": "the bytes of a frame or command; JSON text for the other kinds",
}
_HEAD = """\
# {name}

Session `{session}` of Kalshi's websocket feed ({source}), recorded by kalshi_trio {software} from {started} to
{ended} (UTC). Verdict: **{verdict}**. {received:,} frames; gaps: {opened} opened, {healed} healed.

SHA-256 of `manifest.json`: `{sha256}`

Prices are dollars with four decimals, counts contracts with two. `manifest.json` has the tally, each market's coverage
in full and the SHA-256 of every segment; `sinks.json` says which rows were stored when the session was sealed.

## Markets

{markets}

## Journal

`NNNNNN.arrows` are Arrow IPC streams (zstd): everything that came, untouched. `NNNNNN.index` has offset, length and
CRC32C of each batch; `*.checkpoint` is derived and can be deleted.

| column | type | what |
|---|---|---|
{journal}

```python
import pyarrow as pa
import pyarrow.compute as pc

with pa.ipc.open_stream("{segment}") as stream:
    print(pc.value_counts(stream.read_all()["kind"]))
```

## Rows

(`session`, `frame`, `row`) is unique in each table; `frame` is the journal record that a row comes from.

| table | rows | columns |
|---|---|---|
{tables}

## Queries

Run them in this folder.
{queries}
## Settings

```json
{settings}
```

With the 64 characters `{placeholder}` in place of it, this file has the SHA-256 `{placeholder}`.
"""
_OWN_HASH = re.compile(rb"has the SHA-256 `([0-9a-f]{64})`\.\n\Z")
_DUCKDB = """
DuckDB:

```python
import duckdb

print(duckdb.sql(\"\"\"
    SELECT {by}, count(*) AS rows, min(ts_recv) AS first, max(ts_recv) AS last
    FROM read_parquet('{parquet}/{table}/*/*.parquet')
    WHERE session = '{session}'
    GROUP BY {by} ORDER BY rows DESC, {by} LIMIT 10
\"\"\"))
```
"""
_POLARS = """
polars:

```python
import polars as pl

rows = pl.scan_parquet("{parquet}/{table}/*/*.parquet").filter(pl.col("session") == "{session}")
counts = rows.group_by("{by}").agg(
    pl.len().alias("rows"), pl.col("ts_recv").min().alias("first"), pl.col("ts_recv").max().alias("last")
)
print(counts.sort(["rows", "{by}"], descending=[True, False]).head(10).collect())
```
"""
_CLICKHOUSE = """
ClickHouse{note}:

```python
{connect}
answer = client.query(\"\"\"
    SELECT {by}, count() AS rows, min(ts_recv) AS first, max(ts_recv) AS last
    FROM {database}.{table}
    WHERE session = '{session}'
    GROUP BY {by} ORDER BY rows DESC, {by} LIMIT 10
\"\"\")
for row in answer.result_rows:
    print(*row)
```
"""
_EMBEDDED = """\
import clickhouse_connect

client = clickhouse_connect.get_client(interface="chdb", path="{path}")"""
_SERVER = """\
import os

import clickhouse_connect

client = clickhouse_connect.get_client(
    interface="{scheme}", host="{host}", port={port}, username={user!r}, password=os.environ["CLICKHOUSE_PASSWORD"]
)"""


def write_readme(folder: Path, manifest: Manifest, stored: Mapping[str, object]) -> None:
    """Puts README.md, whole or not at all; `stored`: the settings that say where the rows are. OSError where refused."""
    write_whole(folder / "README.md", with_own_hash(readme(folder, manifest, stored).encode()))


def intact(path: Path) -> bool:
    """Whether this README.md is what was written, as far as it tells: early ones do not. OSError if it cannot be read."""
    with open_regular(path) as file:
        text = file.read()
        found = _OWN_HASH.search(text)
        if found is None:  # one changed byte cannot take both of these away
            return PLACEHOLDER.encode() not in text and b"this file has the SHA-256" not in text
        return whole(file, len(found[0]))


def readme(folder: Path, manifest: Manifest, stored: Mapping[str, object]) -> str:
    """The text, with a placeholder for its own hash; its queries name places as seen from the folder."""
    return _HEAD.format(
        **{name: getattr(manifest, name) for name in ("name", "session", "source", "software", "started", "ended")},
        **{"verdict": manifest.verdict, "received": manifest.tally.received, **manifest.gaps},
        sha256=hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest(),
        markets=_markets(manifest),
        journal="\n".join(f"| `{field.name}` | {field.type} | {_WHAT[field.name]} |" for field in JOURNAL),
        segment=manifest.segments[0].file if manifest.segments else "000001.arrows",
        tables="\n".join(_table(name, schema, manifest) for name, schema in TABLES.items()),
        queries="".join(_queries(folder, manifest, stored)),
        placeholder=PLACEHOLDER,
        settings=msgspec.json.format(msgspec.json.encode(_told(manifest.settings)), indent=1).decode(),
    )


def _markets(manifest: Manifest) -> str:
    names = list(manifest.coverage)
    some = [f"`{name}` {_percent(manifest, name)}" for name in names[:MOST_MARKETS]]
    more = [f"and {len(names) - MOST_MARKETS} more in `manifest.json`"] if len(names) > MOST_MARKETS else []
    told = "Each with the share of the time it was open during which its book was whole and in sequence: "
    text = told + ", ".join([*some, *more]) if names else "None."
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _percent(manifest: Manifest, market: str) -> str:
    percent = manifest.coverage[market].whole_percent
    return "-" if percent is None else f"{percent:.2f} %"


def _table(name: str, schema: pa.Schema, manifest: Manifest) -> str:
    rows = manifest.tally.rows[name].made if name in manifest.tally.rows else 0
    columns = ", ".join(f"`{field.name}` {field.type}{' or null' if field.nullable else ''}" for field in schema)
    return f"| `{name}` | {rows:,} | {columns} |"


def _queries(folder: Path, manifest: Manifest, stored: Mapping[str, object]) -> Iterator[str]:
    made = {name: rows.made for name, rows in manifest.tally.rows.items() if "market" in TABLES[name].names}
    table = "deltas" if made.get("deltas") else max(made, key=made.__getitem__, default="sessions")
    data = folder.parent.parent
    about = {"table": table, "by": "market" if made else "event", "session": manifest.session}
    if stored.get("parquet", True):
        parquet = os.path.relpath(str(stored.get("parquet_dir") or data / "parquet"), folder)
        yield _DUCKDB.format(parquet=parquet, **about)
        yield _POLARS.format(parquet=parquet, **about)
    if stored.get("clickhouse", True):
        url = urlsplit(str(stored.get("clickhouse_url") or ""))
        if url.hostname:
            port = url.port or (8443 if url.scheme == "https" else 8123)
            user = str(stored.get("clickhouse_user") or url.username or "default")
            note, connect = "", _SERVER.format(scheme=url.scheme, host=url.hostname, port=port, user=user)
        else:
            note = ", while no recorder has it open (one process at a time can)"
            connect = _EMBEDDED.format(path=os.path.relpath(data / "clickhouse", folder))
        database = str(stored.get("clickhouse_database") or "kalshi")
        yield _CLICKHOUSE.format(note=note, connect=connect, database=database, **about)


def _told(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if not any(secret in name for secret in _SECRETS)}
