"""Rows back from ClickHouse, page by page, in the order of its own key: nothing is sorted, and memory stays bounded.

A page is `LIMIT n WITH TIES` by frame: whole frames, doubled rows included. The engine checks each block that it reads
(CityHash128); where one is not what was written, the parts that hold it are found by CHECK TABLE, named and left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.client import Client

from kalshi_trio.errors import RowsDamaged, SinkError, SinkRefused, SinkUnavailable
from kalshi_trio.protocol.schema import ROW_SCHEMAS
from kalshi_trio.sinks.clickhouse_errors import translated
from kalshi_trio.sinks.clickhouse_places import Place
from kalshi_trio.sinks.rows import NEVER, Report, RowDamage, raise_damage

PAGE = 65_536
"""Rows a question, and those of the last frame beyond."""


_MAY_NOT = ("ACCESS_DENIED", "NOT_IMPLEMENTED", "SUPPORT_IS_DISABLED")


class Part(NamedTuple):
    """A part of a table in which rows of a session stand, of frames `first` to `last`."""

    name: str
    rows: int
    first: int
    last: int


class ClickHouseRows:
    """A `RowSource` over one database, embedded or a server's."""

    name = "ClickHouse"

    def __init__(self, place: Place, database: str = "kalshi") -> None:
        self._place = place
        self._database = database
        self._client: Client | None = None
        self._tables: set[str] = set()

    def open(self) -> None:
        """See RowSource."""
        with translated(self._place.secret):
            self._client = self._place.connect()
        asked = "SELECT name FROM system.tables WHERE database = {database:String}"
        self._tables = {str(name) for (name,) in self._ask(asked, database=self._database)}

    def close(self) -> None:
        """See RowSource."""
        self._client = None
        self._place.close()

    def batches(
        self, table: str, session: str, after: int = 0, through: int = NEVER, report: Report = raise_damage
    ) -> Iterator[pa.Table]:
        """See RowSource. A table that is not there has no rows."""
        bad: list[str] = []
        while table in self._tables:
            try:
                page = self._page(table, session, after, through, bad)
            except SinkUnavailable:
                raise
            except SinkError as error:
                worse = [part for part, _ in self.damaged(table, session) if part.name not in bad]
                for part in worse:
                    why = "its checksums differ: " + str(error)[:200]
                    report(RowDamage(f"{table}, part {part.name}", part.first, part.last, why))
                if not worse and self._place.remote and isinstance(error, RowsDamaged):
                    raise SinkUnavailable(str(error)) from error  # a server that gave up, for want of memory or time
                if not worse:
                    report(RowDamage(table, after + 1, through, f"cannot be read: {error}"))
                    return
                bad += [part.name for part in worse]
                continue
            if not page.num_rows:
                return
            yield page
            after = page["frame"][-1].as_py()

    def parts(self, table: str, session: str) -> list[Part]:
        """Where the session's rows stand; one that cannot be read may have some: with frames 0."""
        if table not in self._tables:
            return []
        asked = (
            f"SELECT _part, count(), min(frame), max(frame) FROM {self._full(table)} "  # noqa: S608  our own names
            "WHERE session = {session:String} AND (_part = {part:String} OR {part:String} = '') GROUP BY _part"
        )
        try:
            found = [Part(*row) for row in self._ask(asked, session=session, part="")]
        except SinkUnavailable:
            raise
        except SinkError:
            found = [one for name in self._names(table) for one in self._part(asked, session, name)]
        return sorted(found, key=lambda part: (part.first, part.name))

    def _part(self, asked: str, session: str, name: str) -> list[Part]:
        try:
            return [Part(*row) for row in self._ask(asked, session=session, part=name)]
        except SinkUnavailable:
            raise
        except SinkError:
            return [Part(name, 0, 0, 0)]

    def _names(self, table: str) -> list[str]:
        asked = (
            "SELECT name FROM system.parts "
            "WHERE database = {database:String} AND table = {table:String} AND active ORDER BY name"
        )
        return [str(name) for (name,) in self._ask(asked, database=self._database, table=table)]

    def damaged(self, table: str, session: str) -> list[tuple[Part, str]]:
        """Those of whose files some differ from their checksums, and what CHECK TABLE says of it.

        None, where a server does not let this user ask.
        """
        found = []
        for part in self.parts(table, session):
            checked = f"CHECK TABLE {self._full(table)} PART '{part.name}'"  # a name of the engine's own: it takes no parameter
            try:
                answer = self._ask(f"{checked} SETTINGS check_query_single_value_result = 0")
            except SinkUnavailable:
                raise
            except SinkError as error:
                if any(name in str(error) for name in _MAY_NOT):
                    return []
                found.append((part, str(error)))
                continue
            found += [(part, str(row[2])) for row in answer if str(row[1]) != "1"]
        return found

    def detached(self, table: str) -> list[tuple[str, str]]:
        """Parts that the engine has set aside when it opened, and why: broken ones, mostly."""
        asked = (
            "SELECT name, ifNull(reason, '') FROM system.detached_parts "
            "WHERE database = {database:String} AND table = {table:String} ORDER BY name"
        )
        return [(str(name), str(why)) for name, why in self._ask(asked, database=self._database, table=table)]

    def _page(self, table: str, session: str, after: int, through: int, without: list[str]) -> pa.Table:
        schema = ROW_SCHEMAS[table]
        columns = ", ".join(f"`{name}`" for name in schema.names)
        asked = (
            f"SELECT {columns} FROM {self._full(table)} "  # noqa: S608  our own names
            "WHERE session = {session:String} AND frame > {after:UInt64} AND frame <= {through:UInt64} "
            "AND NOT has({without:Array(String)}, _part) "
            f"ORDER BY frame LIMIT {PAGE} WITH TIES"
        )
        bound = {"session": session, "after": after, "through": through, "without": without}
        with self._answering():
            page = self._connected.query_arrow(asked, parameters=bound, use_strings=True)
            rows = pa.table([page[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
        return rows if in_order(rows) else rows.sort_by([("frame", "ascending"), ("row", "ascending")])

    @property
    def _connected(self) -> Client:
        if self._client is None:
            raise SinkRefused("not connected to ClickHouse")
        return self._client

    def _ask(self, asked: str, **bound: object) -> list[Any]:
        with self._answering():
            return list(self._connected.query(asked, parameters=bound).result_rows)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            with translated(self._place.secret):
                yield
        except (ValueError, pa.ArrowException) as error:  # the engine met damage when half of the answer was out
            raise RowsDamaged("the answer breaks off") from error

    def _full(self, table: str) -> str:
        return f"`{self._database}`.{table}"


def in_order(rows: pa.Table) -> bool:
    """Whether they stand by (frame, row), where they stand by frame."""
    frames, places = rows["frame"].to_numpy(), rows["row"].to_numpy()
    return bool(np.all((frames[1:] > frames[:-1]) | (places[1:] >= places[:-1])))
