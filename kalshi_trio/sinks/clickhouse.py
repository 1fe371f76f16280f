"""Rows in ClickHouse, each exactly once: one insert is one part, and `max(frame)` of the session is the cursor.

An insert is atomic if and only if it makes one part: one table, one date, one contiguous record batch. On servers a
`Fence` keeps those out whose answer was lost and that arrive late.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from kalshi_trio.errors import ConfigError, SinkError, SinkUnavailable
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.schema import TABLES, RowBatch
from kalshi_trio.sinks.batch import beyond, frames_of, pieces
from kalshi_trio.sinks.clickhouse_errors import translated
from kalshi_trio.sinks.clickhouse_fence import Fence
from kalshi_trio.sinks.clickhouse_levels import LevelState, level_rows
from kalshi_trio.sinks.clickhouse_link import Link
from kalshi_trio.sinks.clickhouse_places import Embedded, Place, Server
from kalshi_trio.sinks.clickhouse_removal import delete, wait
from kalshi_trio.sinks.clickhouse_schema import (
    LEVELS,
    PROGRESS,
    PROGRESS_SCHEMA,
    added,
    check,
    check_replicated,
    columns,
    create_statements,
    on_cluster,
)
from kalshi_trio.sinks.hints import NEVER, believed, seal
from kalshi_trio.sinks.pace import Pace

__all__ = ["ClickHouseStore", "Embedded", "Server"]

_logger = get_logger(__name__)

MOST_ROWS = 100_000
"""of one insert"""
REMOVAL_SECS = 10.0
"""How long a removal that is under way may take to end before it is known what is held."""
REMOVING_SECS = 600.0
"""How long the rows of one session may take to be removed."""


class ClickHouseStore:
    """A `Store` in one database; `live(session)` says whether its rows belong in `latest_levels`.

    `bits(n)` gives n random bits: a fence's epochs on servers. `cluster`: whose replicas the place's address stands for,
    empty for one server.
    """

    name = "ClickHouse"

    def __init__(
        self,
        place: Place,
        database: str = "kalshi",
        live: Callable[[str], bool] = lambda session: "~" not in session,
        bits: Callable[[int], int] = secrets.randbits,
        cluster: str = "",
    ) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", database):
            message = f"CLICKHOUSE_DATABASE {database!r}: use letters, digits and _, and no digit first"
            raise ConfigError(message)
        self._place = place
        self._database = database
        self._live = live
        self._link = Link(place, database, cluster if place.remote else "")
        self._fence = Fence(self._link, bits, self._held) if place.remote else None
        self._levels = LevelState()
        self._said = Pace(_logger)

    def __repr__(self) -> str:
        return f"ClickHouseStore({self._place!r}, {self._database!r})"

    def open(self) -> None:
        """See Store. A database and tables are made only where there are none, so existing ones need no permission."""
        with translated(self._place.secret):
            self._link.open()
            self._make_missing()
            self._levels = self._read_levels()

    def positions(self, session: str) -> dict[str, int]:
        """See Store. On a server the session's epoch is raised each time, before anything is asked."""
        if self._fence is not None:
            self._fence.raise_for(session)
            self._levels = self._read_levels()  # what came in before the raise counts, and nothing comes after it
        with translated(self._place.secret):
            wait(self._client, self._database, session, REMOVAL_SECS)
        return self._held(session)

    def write(self, batch: RowBatch, after: dict[str, int]) -> None:
        """See Store. `latest_levels` comes first: repeating it is harmless, missing it would not be noticed."""
        self._said.line("Flushing %d events to ClickHouse", batch.rows)
        if self._live(batch.session):
            rows, levels = level_rows(batch, after, self._levels)
            for start in range(0, rows.num_rows, MOST_ROWS):
                piece = rows.slice(start, MOST_ROWS)
                self._insert(batch.session, LEVELS, piece, f"{batch.lo}-{batch.hi}")
            self._levels = levels
        for table, rows in batch.tables.items():
            for piece in pieces(beyond(rows, after.get(table, 0)), MOST_ROWS):
                frames = frames_of(piece)
                self._insert(batch.session, table, _whole(table, piece, batch), f"{frames[0]}-{frames[-1]}")

    def count(self, session: str) -> dict[str, int]:
        """See Store."""
        return self._of_each("count()", session)

    def progress(self, session: str, through: int, held: Mapping[str, int] = {}) -> None:
        """See Store."""
        row = pa.Table.from_pylist([seal(session, through, held)], schema=PROGRESS_SCHEMA)
        self._insert(session, PROGRESS, row, str(through))

    def hint(self, session: str, held: Mapping[str, int] | None = None, last: int = NEVER) -> int:
        """See Store."""
        asked = f"SELECT * FROM (SELECT through, held, sha256 FROM {self._full(PROGRESS)} "  # noqa: S608  our own names
        asked += "WHERE session = {session:String} ORDER BY through DESC LIMIT 1)"
        kept = [
            {"session": session, "through": int(through), "held": text, "sha256": sha256}
            for through, text, sha256 in self._link.ask(asked, {"session": session})
        ]
        return believed(self.name, kept[0] if kept else {}, session, held, last)

    def remove(self, session: str) -> None:
        """See Store: the hint first, by mutations that are waited for. `latest_levels` is no session's and stays."""
        for tables in ([PROGRESS], TABLES):
            if self._fence is not None:
                self._fence.raise_for(session)
            with translated(self._place.secret):
                delete(self._client, self._database, tables, session)
                wait(self._client, self._database, session, REMOVING_SECS)

    def interrupt(self) -> None:
        """See Store."""
        self._link.drop()
        self._place.interrupt()

    def close(self) -> None:
        """See Store."""
        self._link.drop()
        self._place.close()

    @property
    def _client(self) -> Client:
        return self._link.client

    def _full(self, table: str) -> str:
        return self._link.full(table)

    def _held(self, session: str) -> dict[str, int]:
        return self._of_each("max(frame)", session)

    def _of_each(self, what: str, session: str) -> dict[str, int]:
        asked = " UNION ALL ".join(
            f"SELECT '{table}', {what} FROM {self._full(table)} WHERE session = {{session:String}}"  # noqa: S608  our own names
            for table in TABLES
        )
        found = {str(table): int(number) for table, number in self._link.ask(asked, {"session": session})}
        if found.keys() != TABLES.keys():
            raise SinkUnavailable("an answer breaks off: not every table has answered")
        return found

    def _insert(self, session: str, table: str, rows: pa.Table, frames: str) -> None:
        query_id, guard = f"{session}/{table}/{frames}", ""
        if self._fence is not None:
            query_id, guard = f"{query_id}/{self._fence.epoch(session)}", self._fence.guard(session)
        try:
            self._link.insert(table, rows, query_id, guard)
        except SinkError:
            if self._fence is not None:
                self._fence.doubt(session)
            raise
        _logger.debug("Inserted %d rows to %s", rows.num_rows, table)

    def _make_missing(self) -> None:
        client, name = self._client, {"database": self._database}
        if not client.query("SELECT 1 FROM system.databases WHERE name = {database:String}", name).result_rows:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{self._database}`{on_cluster(self._link.cluster)}")
        tables = client.query(
            "SELECT name, engine, partition_key FROM system.tables WHERE database = {database:String}", name
        ).result_rows
        present = client.query(
            "SELECT table, name, type FROM system.columns WHERE database = {database:String}", name
        ).result_rows
        found = {table: {column: kind for of, column, kind in present if of == table} for table, _, _ in tables}
        statements = create_statements(self._database, embedded=not self._place.remote, cluster=self._link.cluster)
        adding: list[str] = []
        for table, engine, partition_key in tables:
            if table in statements:
                older = added(self._database, table, found[table])
                check(
                    self._database,
                    table,
                    columns(table) | found[table] if older else found[table],
                    engine,
                    partition_key,
                )
                check_replicated(self._link.cluster, self._database, table, engine)
                adding += older
        for statement in (*adding, *(made for table, made in statements.items() if table not in found)):
            client.command(statement)

    def _read_levels(self) -> LevelState:
        table = self._full(LEVELS)
        version = self._client.query(f"SELECT max(version) FROM {table}").result_rows[0][0]  # noqa: S608  our own names
        bases = self._client.query(f"SELECT market, max(base) FROM {table} GROUP BY market").result_rows  # noqa: S608  as above
        return LevelState(int(version), {str(market): int(base) for market, base in bases})


def _whole(table: str, rows: pa.Table, batch: RowBatch) -> pa.Table:
    """The rows with `session` (a dictionary of one text: 28 bytes a row less to hand over) and `date` at their places."""
    place, count = TABLES[table].get_field_index, rows.num_rows
    session = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), count), [batch.session])
    rows = rows.add_column(place("session"), pa.field("session", session.type, nullable=False), session)
    return rows.add_column(place("date"), TABLES[table].field("date"), pa.repeat(pa.scalar(batch.date), count))
