"""Inserts whose answers are lost and that reach the server late, many at once: what they double, and what is lost."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from clickhouse_http import PASSWORD, USER, Front
from sink_rows import batch

from kalshi_trio.errors import SinkError
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Server

TABLES = ("deltas", "deltas", "deltas", "trades", "latest_levels")
"""Whose insert comes late: mostly the largest table's."""
FRAMES, BATCHES = 100, 3
TRIES = 200
AT_ONCE = 10
"""Writers; more would be so slow that what comes late comes before them."""
MADE = [batch(1 + i * FRAMES, (i + 1) * FRAMES) for i in range(BATCHES)]


class Outcome(NamedTuple):
    """Of all late inserts: how many were let in, fenced or killed; rows that stand twice, rows that are missing."""

    inserts: int
    let_in: int
    fenced: int
    killed: int
    doubled: int
    lost: int
    failed: list[str]
    """Writers that did not come to an end."""


class _Writer(threading.Thread):
    """One session, brought into the server as a recorder does it; every other one is killed and started anew."""

    def __init__(self, front: Front, session: str, *, restarts: bool) -> None:
        super().__init__(daemon=True)
        self.session = session
        self.failure = ""
        self._front = front
        self._restarts = restarts

    def batches(self) -> list[RowBatch]:
        return [made._replace(session=self.session) for made in MADE]

    def run(self) -> None:
        waiting, tries = self.batches(), 0
        store, after = self._store(), None
        while waiting and tries < TRIES:
            tries += 1
            try:
                store.open()
                after = store.positions(self.session)
                while waiting:
                    store.write(waiting[0], after)
                    after |= dict.fromkeys(waiting[0].tables, waiting[0].hi)
                    del waiting[0]
            except SinkError as error:
                self.failure = str(error)
                time.sleep(0.05)
                if self._restarts:
                    store.close()
                    store, waiting = self._store(), self.batches()
        store.close()
        if not waiting:
            self.failure = ""

    def _store(self) -> ClickHouseStore:
        return ClickHouseStore(Server(self._front.url, USER, PASSWORD))


def campaign(folder: Path, inserts: int, shortest: float, longest: float, seed: int = 1) -> Outcome:
    """So many sessions at once, each with one insert that comes `shortest` to `longest` s late, and may take its time."""
    random_ = random.Random(seed)  # noqa: S311  test data
    front = Front(folder)
    try:
        made = ClickHouseStore(Server(front.url, USER, PASSWORD))
        made.open()
        writers = [_Writer(front, f"20261124_050102-{i:08x}", restarts=bool(i % 2)) for i in range(inserts)]
        front.faults(
            [
                {
                    "kind": "lost",
                    "match": f"{one.session}/{random_.choice(TABLES)}/",
                    "hidden": random_.uniform(shortest, longest),
                    "running": random_.choice([0.0, 0.0, 0.5]),
                }
                for one in writers
            ]
        )
        for first in range(0, inserts, AT_ONCE):
            for one in writers[first : first + AT_ONCE]:
                one.start()
            for one in writers[first : first + AT_ONCE]:
                one.join(120)
        deadline = time.monotonic() + longest + 30
        while len(front.late()) < inserts and time.monotonic() < deadline:
            time.sleep(0.1)
        became = Counter(what for _, what in front.late())
        doubled, lost = _counted(made, writers)
        made.close()
    finally:
        front.close()
    failed = [one.failure or "it does not end" for one in writers if one.failure or one.is_alive()]
    return Outcome(sum(became.values()), became["let in"], became["fenced"], became["killed"], doubled, lost, failed)


def _counted(store: ClickHouseStore, writers: list[_Writer]) -> tuple[int, int]:
    doubled = lost = 0
    for table in {name for one in writers[0].batches() for name in one.tables}:
        asked = f"SELECT session, count(), uniqExact(frame, row) FROM kalshi.{table} GROUP BY session"  # noqa: S608  our own names
        held = {session: (rows, apart) for session, rows, apart in store._client.query(asked).result_rows}
        for one in writers:
            rows, apart = held.get(one.session, (0, 0))
            made = sum(each.tables[table].num_rows for each in one.batches() if table in each.tables)
            doubled, lost = doubled + rows - apart, lost + made - apart
    return doubled, lost
