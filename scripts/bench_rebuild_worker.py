"""One turn of scripts/bench_rebuild.py in a process of its own: `ROW FOLDER LINES CORE`; says in JSON what it took."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

Counts = dict[str, Any]


def loop(lines: Path) -> Counts:
    """What anybody would write first: books of dicts, sizes as floats, nothing checked, nothing stored."""
    books: dict[str, dict[str, dict[str, float]]] = {}
    kinds = Counter[str]()
    with lines.open("rb") as file:
        for line in file:
            message = json.loads(line)
            kind, msg = message["type"], message.get("msg")
            kinds[kind] += 1
            if kind == "orderbook_delta":
                book = books.get(msg["market_ticker"])
                if book is not None:
                    levels, price = book[msg["side"]], msg["price_dollars"]
                    size = levels.get(price, 0.0) + float(msg["delta_fp"])
                    if size > 0.001:
                        levels[price] = size
                    else:
                        levels.pop(price, None)
            elif kind == "orderbook_snapshot":
                books[msg["market_ticker"]] = {
                    side: {price: float(size) for price, size in msg.get(f"{side}_dollars_fp", ())}
                    for side in ("yes", "no")
                }
    return dict(kinds)


def rows(session: Path) -> Counts:
    """All rows as Arrow tables, dropped as soon as they are made."""
    from kalshi_trio.journal.manifest import read  # noqa: PLC0415 -- after the core is chosen
    from kalshi_trio.rebuild import Rebuild  # noqa: PLC0415 -- as above

    manifest = read(session)
    assert manifest is not None  # noqa: S101 -- the benchmark has looked
    rebuild, made = Rebuild(session, manifest.session, 0), Counter[str]()
    while batches := rebuild.piece(manifest.segments[-1].frames[1]):
        for batch in batches:
            made.update({name: table.num_rows for name, table in batch.tables.items()})
    return dict(made)


def stored(folder: Path, session: Path, *stores: str) -> Counts:
    """The command `rebuild`: every row into these stores, exactly once."""
    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- after the core is chosen
    from kalshi_trio.history.replay.rebuilding import rebuild  # noqa: PLC0415 -- as above
    from kalshi_trio.settings import Settings  # noqa: PLC0415 -- as above

    chosen = {"parquet": "parquet" in stores, "clickhouse": "clickhouse" in stores}
    settings = Settings.model_validate({"data_dir": folder / "data", "log_dir": folder / "logs", **chosen})
    run(rebuild, settings, session.name)
    sinks = json.loads((session / "sinks.json").read_text())
    return {store: {name: table["stored"] for name, table in sinks[store].items()} for store in stores}


def warm() -> None:
    """Imports what the turn will need, so that it is not timed."""
    import kalshi_trio.history.replay.rebuilding  # noqa: PLC0415 -- after the core is chosen
    import kalshi_trio.sinks.clickhouse_places  # noqa: F401, PLC0415 -- as above


def main(row: str, folder: Path, lines: Path, core: int) -> None:
    """Runs the turn."""
    os.sched_setaffinity(0, {core})  # before any thread is there: they all inherit it
    (session,) = (folder / "data" / "sessions").glob("SESSION_*")
    turns: dict[str, Callable[[], Counts]] = {
        "loop": lambda: loop(lines),
        "rows": lambda: rows(session),
        "parquet": lambda: stored(folder, session, "parquet"),
        "clickhouse": lambda: stored(folder, session, "clickhouse"),
        "both": lambda: stored(folder, session, "parquet", "clickhouse"),
    }
    warm()
    began, spent = time.perf_counter(), time.process_time()
    counts = turns[row]()
    took = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - spent}
    print(json.dumps({**took, "counts": counts}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
