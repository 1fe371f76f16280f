"""One client of one database: its questions and inserts, with every error sorted into ask later, or no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.summary import QuerySummary

from kalshi_trio.errors import ConfigError, SinkUnavailable
from kalshi_trio.sinks.clickhouse_errors import refusal, translated
from kalshi_trio.sinks.clickhouse_places import Place
from kalshi_trio.sinks.clickhouse_schema import columns

LOOKS = 6
"""Connections by which a server is looked for behind the first one: one of two that are chosen at random hides once in 32."""
TRIES = 32
"""Connections by which a replica is looked for."""

ONE_PART = {
    "max_insert_block_size": 100_000_000,
    "min_insert_block_size_rows": 100_000_000,
    "min_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
    "async_insert": 0,
    "insert_deduplicate": 0,
}
"""An insert of one record batch makes one part, and so is atomic."""
_BROKEN = (ValueError, LookupError, ArithmeticError, RuntimeError, TypeError, EOFError)
"""What clickhouse-connect raises, beside its own errors, over an answer that is cut or goes on as an exception's text."""


class Link:
    """Blocking. Everything raises SinkUnavailable or SinkRefused; `server` is the UUID of the one that answers."""

    def __init__(self, place: Place, database: str, cluster: str = "") -> None:
        self.database = database
        self.cluster = cluster
        self.remote = place.remote
        self.server = ""
        self._place = place
        self._client: Client | None = None

    def open(self) -> None:
        """Connects unless connected. Raises ConfigError where more than one server answers at the address.

        With a cluster there may be several: the one that answered first is gone back to each time.
        """
        if self._client is None:
            with translated(self._place.secret):
                self._client = self._place.connect()
            if self.remote and not self.cluster:
                try:
                    self._look_who_answers()
                except BaseException:
                    self._client = None
                    raise
        if self.cluster:
            self._go_back()

    def drop(self) -> None:
        """Forgets the client: until `open` everything is unavailable. Any thread may call it."""
        self._client = None

    @property
    def client(self) -> Client:
        """The client; SinkUnavailable if there is none."""
        if self._client is None:
            raise SinkUnavailable("not connected to ClickHouse")
        return self._client

    def full(self, table: str) -> str:
        """A table's name with its database."""
        return f"`{self.database}`.{table}"

    def ask(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Any]:
        """The rows of the answer."""
        with translated(self._place.secret):
            try:
                return list(self.client.query(sql, parameters=dict(parameters or {})).result_rows)
            except _BROKEN as error:
                raise SinkUnavailable(f"an answer breaks off: {str(error)[:200]}") from error

    def one(self, sql: str, parameters: Mapping[str, object] | None = None) -> tuple[Any, ...]:
        """The one row of an answer that always has one: without it, the answer is not believed."""
        rows = self.ask(sql, parameters)
        if len(rows) != 1:
            raise SinkUnavailable(f"an answer breaks off: {len(rows)} rows instead of one")
        return tuple(rows[0])

    def command(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        """Runs a statement, once: clickhouse-connect repeats what reads, and nothing else."""
        with translated(self._place.secret):
            self.client.command(sql, parameters=dict(parameters or {}), settings=dict(settings or {}))

    def insert(self, table: str, rows: pa.Table, query_id: str, guard: str = "") -> None:
        """Inserts rows as one part, or raises; SinkUnavailable leaves open whether they are there.

        On a server through `command`, which never repeats, and gives back the body of the answer: a good one has none.
        ClickHouse may have answered 200 when it fails, and then the body is all that tells.
        """
        settings = ONE_PART | {"query_id": query_id}
        with translated(self._place.secret):
            rows = rows.combine_chunks()
            if not self.remote:
                self.client.insert_arrow(self.full(table), rows, settings=settings)
                return
            names = ", ".join(f"`{name}`" for name in rows.schema.names)
            kinds = columns(table)
            shape = ", ".join(f"`{name}` {kinds[name]}" for name in rows.schema.names).replace("'", "\\'")
            into = f"INSERT INTO {self.full(table)} ({names}) SELECT {names} FROM input('{shape}')"  # noqa: S608  our own names
            where = f" WHERE {guard}" if guard else ""
            answer = self.client.command(f"{into}{where} FORMAT Arrow", data=_arrow(rows), settings=settings)
            if not isinstance(answer, QuerySummary):
                raise refusal(" ".join(answer) if isinstance(answer, list) else str(answer))

    def _look_who_answers(self) -> None:
        """Where inserts go to one server and questions to another, nothing that is asked is true of what was inserted."""
        found: dict[str, str] = {}
        for _ in range(LOOKS):
            self._place.reconnect()
            server, host = self.one("SELECT toString(serverUUID()), hostName()")
            found[f"{server} {host}"] = server
        if len(found) > 1:
            names = " and ".join(sorted(name.partition(" ")[2] for name in found))
            raise ConfigError(
                f"CLICKHOUSE_URL is answered by more than one server ({names}): each knows only its own inserts, so none "
                "can say what is stored. Name one of them, not the balancer in front of them; or, where they are replicas "
                "of one cluster, name that too (CLICKHOUSE_CLUSTER)"
            )
        self.server = self.server or server

    def _go_back(self) -> None:
        """Connects anew until the replica answers by which everything is stored and asked: the first one."""
        if not self.one("SELECT count() FROM system.clusters WHERE cluster = {name:String}", {"name": self.cluster})[0]:
            raise ConfigError(f"CLICKHOUSE_CLUSTER {self.cluster!r}: the server knows no cluster of that name")
        for _ in range(TRIES):
            (server,) = self.one("SELECT toString(serverUUID())")
            self.server = self.server or server
            if server == self.server:
                return
            self._place.reconnect()
        raise SinkUnavailable(
            f"the replica of {self.cluster} that this recorder stores into does not answer, others do: an insert may "
            "still run on it. If it is gone for good, start the recorder anew"
        )


def _arrow(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())
