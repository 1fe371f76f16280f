"""Rows of one session taken out of ClickHouse, by mutations that are waited for.

A mutation goes through a table part by part, and goes on after a crash: in between, the highest frame that is left says
nothing of the lower ones (seen: 200,000 of 500,000 rows left, frame 399,999 among them). So whoever asks a table how far
it holds a session waits first until no mutation of it is under way. What is inserted later a mutation never touches.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from clickhouse_connect.driver.client import Client

from kalshi_trio.errors import SinkUnavailable

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two looks at whether it is done."""


def delete(client: Client, database: str, tables: Iterable[str], session: str) -> None:
    """Begins to take the session out of these tables. Repeating it is harmless, as long as it is waited for."""
    for table in tables:
        client.command(
            f"ALTER TABLE `{database}`.{table} DELETE WHERE session = {{session:String}}",
            parameters={"session": session},
            settings={"mutations_sync": 0, "query_id": f"{session}/{table}/delete"},
        )


def wait(client: Client, database: str, session: str, seconds: float) -> None:
    """Returns when nothing of the session is being taken out any more. SinkUnavailable: not within `seconds`."""
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE
    asked = (
        "SELECT table, parts_to_do, latest_fail_reason FROM system.mutations WHERE NOT is_done "
        "AND database = {database:String} AND position(command, concat('session = \\'', {session:String}, '\\'')) > 0"
    )
    while rows := client.query(asked, parameters={"database": database, "session": session}).result_rows:
        if time.monotonic() > deadline:
            table, parts, why = rows[0]
            message = f"session {session} is still being taken out of {table}: {parts} parts to go. {why}".strip()
            raise SinkUnavailable(message)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
