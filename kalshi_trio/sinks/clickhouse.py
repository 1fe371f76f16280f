"""Rows in ClickHouse, each exactly once: one insert is one part, and `max(frame)` of the session is the cursor.

An insert is atomic if and only if it makes one part: one table, one date, one contiguous record batch. Only
`insert_arrow` is used, since `insert` and `raw_insert(bytes)` of clickhouse-connect silently repeat a request whose
answer was cut, and so double its rows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from kalshi_trio.errors import ConfigError, SinkUnavailable
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.schema import TABLES, RowBatch
from kalshi_trio.sinks.batch import beyond, frames_of, pieces
from kalshi_trio.sinks.clickhouse_errors import translated
from kalshi_trio.sinks.clickhouse_levels import LevelState, level_rows
from kalshi_trio.sinks.clickhouse_places import Embedded, Place, Server
from kalshi_trio.sinks.clickhouse_removal import delete, wait
from kalshi_trio.sinks.clickhouse_schema import LEVELS, PROGRESS, PROGRESS_SCHEMA, check, create_statements
from kalshi_trio.sinks.pace import Pace

__all__ = ["ClickHouseStore", "Embedded", "Server"]

_logger = get_logger(__name__)

MOST_ROWS = 100_000
"""of one insert"""
SETTLE_SECS = 1.0
"""How long a request that was under way when its answer was lost may take to show in `system.processes`."""
ENDING_SECS = 10.0
"""How long an earlier insert may take to end after KILL QUERY."""
REMOVING_SECS = 600.0
"""How long the rows of one session may take to be removed."""

_ONE_PART = {
    "max_insert_block_size": 100_000_000,
    "min_insert_block_size_rows": 100_000_000,
    "min_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
    "async_insert": 0,
    "insert_deduplicate": 0,
}


class ClickHouseStore:
    """A `Store` in one database; `live(session)` says whether its rows belong in `latest_levels`."""

    name = "ClickHouse"

    def __init__(
        self, place: Place, database: str = "kalshi", live: Callable[[str], bool] = lambda session: "~" not in session
    ) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", database):
            message = f"CLICKHOUSE_DATABASE {database!r}: use letters, digits and _, and no digit first"
            raise ConfigError(message)
        self._place = place
        self._database = database
        self._live = live
        self._connected: Client | None = None
        self._unsure = True  # the process before this one may have been killed in the middle of an insert
        self._levels = LevelState()
        self._said = Pace(_logger)

    def __repr__(self) -> str:
        return f"ClickHouseStore({self._place!r}, {self._database!r})"

    def open(self) -> None:
        """See Store. A database and tables are made only where there are none, so existing ones need no permission."""
        with translated(self._place.secret):
            if self._connected is None:
                self._connected = self._place.connect()
            self._make_missing()
            self._levels = self._read_levels()

    def positions(self, session: str) -> dict[str, int]:
        """See Store."""
        asked = " UNION ALL ".join(
            f"SELECT '{table}', max(frame) FROM {self._full(table)} WHERE session = {{session:String}}"  # noqa: S608  our own names
            for table in TABLES
        )
        with translated(self._place.secret):
            if self._place.remote:
                self._end_running(session)
            wait(self._client, self._database, session, ENDING_SECS)
            rows = self._client.query(asked, parameters={"session": session}).result_rows
        return {str(table): int(frame) for table, frame in rows}

    def write(self, batch: RowBatch, after: dict[str, int]) -> None:
        """See Store. `latest_levels` comes first: repeating it is harmless, missing it would not be noticed."""
        self._said.line("Flushing %d events to ClickHouse", batch.rows)
        if self._live(batch.session):
            rows, levels = level_rows(batch, after, self._levels)
            for start in range(0, rows.num_rows, MOST_ROWS):
                self._insert(LEVELS, rows.slice(start, MOST_ROWS), f"{batch.session}/{LEVELS}/{batch.lo}-{batch.hi}")
            self._levels = levels
        for table, rows in batch.tables.items():
            for piece in pieces(beyond(rows, after.get(table, 0)), MOST_ROWS):
                frames = frames_of(piece)
                self._insert(table, _whole(table, piece, batch), f"{batch.session}/{table}/{frames[0]}-{frames[-1]}")

    def progress(self, session: str, through: int) -> None:
        """See Store."""
        row = pa.table({"session": [session], "through": [through]}, schema=PROGRESS_SCHEMA)
        self._insert(PROGRESS, row, f"{session}/{PROGRESS}/{through}")

    def hint(self, session: str) -> int:
        """See Store."""
        asked = f"SELECT max(through) FROM {self._full(PROGRESS)} WHERE session = {{session:String}}"  # noqa: S608  our own names
        with translated(self._place.secret):
            return int(self._client.query(asked, parameters={"session": session}).result_rows[0][0])

    def remove(self, session: str) -> None:
        """See Store: the hint first, by mutations that are waited for. `latest_levels` is no session's and stays."""
        try:
            with translated(self._place.secret):
                for tables in ([PROGRESS], TABLES):
                    if self._place.remote:
                        self._end_running(session)
                    delete(self._client, self._database, tables, session)
                    wait(self._client, self._database, session, REMOVING_SECS)
        except SinkUnavailable:
            self._unsure = True
            raise

    def interrupt(self) -> None:
        """See Store."""
        self._connected = None
        self._place.interrupt()

    def close(self) -> None:
        """See Store."""
        self._connected = None
        self._place.close()

    @property
    def _client(self) -> Client:
        if self._connected is None:
            raise SinkUnavailable("not connected to ClickHouse")
        return self._connected

    def _full(self, table: str) -> str:
        return f"`{self._database}`.{table}"

    def _insert(self, table: str, rows: pa.Table, query_id: str) -> None:
        settings = _ONE_PART | {"query_id": query_id}
        try:
            with translated(self._place.secret):
                self._client.insert_arrow(self._full(table), rows.combine_chunks(), settings=settings)
        except SinkUnavailable:
            self._unsure = True
            raise
        _logger.debug("Inserted %d rows to %s", rows.num_rows, table)

    def _make_missing(self) -> None:
        client, name = self._client, {"database": self._database}
        if not client.query("SELECT 1 FROM system.databases WHERE name = {database:String}", name).result_rows:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{self._database}`")
        tables = client.query(
            "SELECT name, engine, partition_key FROM system.tables WHERE database = {database:String}", name
        ).result_rows
        columns = client.query(
            "SELECT table, name, type FROM system.columns WHERE database = {database:String}", name
        ).result_rows
        found = {table: {column: kind for of, column, kind in columns if of == table} for table, _, _ in tables}
        statements = create_statements(self._database, embedded=not self._place.remote)
        for table, engine, partition_key in tables:
            if table in statements:
                check(self._database, table, found[table], engine, partition_key)
        for table, statement in statements.items():
            if table not in found:
                client.command(statement)

    def _read_levels(self) -> LevelState:
        table = self._full(LEVELS)
        version = self._client.query(f"SELECT max(version) FROM {table}").result_rows[0][0]  # noqa: S608  our own names
        bases = self._client.query(f"SELECT market, max(base) FROM {table} GROUP BY market").result_rows  # noqa: S608  as above
        return LevelState(int(version), {str(market): int(base) for market, base in bases})

    def _end_running(self, session: str) -> None:
        """Ends inserts of the session whose answer was lost: looked at too early, their rows would be written twice."""
        if self._unsure:
            time.sleep(SETTLE_SECS)
        mine = {"prefix": f"{session}/"}
        deadline = time.monotonic() + ENDING_SECS
        while self._client.query(
            "SELECT query_id FROM system.processes WHERE startsWith(query_id, %(prefix)s)", mine
        ).result_rows:
            if time.monotonic() > deadline:
                message = f"an earlier insert of session {session} still runs and does not end"
                raise SinkUnavailable(message)
            self._client.command("KILL QUERY WHERE startsWith(query_id, %(prefix)s) SYNC", mine)
        self._unsure = False


def _whole(table: str, rows: pa.Table, batch: RowBatch) -> pa.Table:
    """The rows with `session` (a dictionary of one text: 28 bytes a row less to hand over) and `date` at their places."""
    place, count = TABLES[table].get_field_index, rows.num_rows
    session = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), count), [batch.session])
    rows = rows.add_column(place("session"), pa.field("session", session.type, nullable=False), session)
    return rows.add_column(place("date"), TABLES[table].field("date"), pa.repeat(pa.scalar(batch.date), count))
