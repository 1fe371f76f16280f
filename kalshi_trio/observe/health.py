"""Is the recorder well? It says how it is once a second; `health` reads that, and names what is wrong.

Well means that events flow: connected, frames or pongs recent, the journal writing, every sink within bounds. A database
that answers says nothing of that.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import trio

from kalshi_trio.file_lock import is_held
from kalshi_trio.fileio import write_whole
from kalshi_trio.journal.files import read_regular
from kalshi_trio.observe.stats import Stats
from kalshi_trio.own_hash import checked_json, json_with_hash

EVERY = 1.0
NAMED = 20
"""Markets without a whole book that the status names; it counts them all."""
NAMED_IN_TEXT = 5


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds past which something is wrong."""

    status: float = 10.0
    sign_of_life: float = 40.0
    """Anything at all that is received: a connection is given up after 30 s of silence."""
    connecting: float = 60.0
    book: float = 15.0
    """A first snapshot is waited for 10 s before its absence is a gap; a lost book is asked for at once."""
    quiet: float = 60.0
    """Without a frame for so long, `health` says that there are only pongs."""
    journal: float = 5.0
    sink: float = 300.0


def status_of(stats: Stats, wall_ns: int, mono_ns: int) -> dict[str, Any]:
    """What is written once a second; ages in seconds, null for never."""

    def age(then_ns: int) -> float | None:
        return round((mono_ns - then_ns) / 1e9, 3) if then_ns else None

    feed, journal, builder = stats.feed, stats.journal, stats.builder
    return {
        "session": stats.session,
        "at_ns": wall_ns,
        "running": age(stats.started_mono_ns),
        "feed": {
            "state": feed.state,
            "url": feed.url,
            "received": feed.received,
            "last_frame": age(feed.last_frame_mono_ns),
            "last_pong": age(feed.last_pong_mono_ns),
            "last_heard": age(feed.last_heard_mono_ns),
            "reconnects": feed.reconnects,
            "error": feed.last_error,
            "key_refused_since": _instant(feed.key_refused_ns),
        },
        "journal": {
            "last_frame": journal.last_frame,
            "durable_frame": journal.durable_frame,
            "last_fsync": age(journal.last_fsync_mono_ns),
            "error": journal.error,
        },
        "builder": {
            "frame": builder.frame,
            "gaps_opened": builder.gaps_opened,
            "books_valid": builder.books_valid,
            "wanted": builder.wanted,
            "closed": builder.closed,
            "not_whole": {ticker: age(since) for ticker, since in islice(builder.not_whole.items(), NAMED)},
            "not_whole_count": len(builder.not_whole),
        },
        "sinks": {
            name: {
                "state": sink.state,
                "through": sink.through,
                "pending_rows": sink.pending_rows,
                "last_stored": age(sink.last_stored_mono_ns),
                "error": sink.last_error,
            }
            for name, sink in stats.sinks.items()
        },
    }


def _instant(ns: int) -> str | None:
    """RFC 3339, to the second; null for never."""
    return f"{datetime.datetime.fromtimestamp(ns // 10**9, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}" if ns else None


def judge(status: dict[str, Any], now_ns: int, bounds: Bounds) -> list[str]:
    """What is wrong, in words; empty if all is well."""
    silent = (now_ns - status["at_ns"]) / 1e9
    if silent > bounds.status:
        return [f"the recorder has not said how it is for {silent:.0f}s: it hangs, or was killed"]
    return [*_feed(status, bounds), *_books(status, bounds), *_journal(status, bounds), *_sinks(status, bounds)]


def manner(status: dict[str, Any], bounds: Bounds | None = None) -> str:
    """How a recorder that is well is: how much came, and whether anything comes now."""
    feed, builder, bounds = status["feed"], status["builder"], bounds or Bounds()
    text = f"session {status['session']}, {feed['received']} frames received"
    if builder["wanted"] and builder["closed"] == builder["wanted"]:
        return f"{text}, no market is open"
    if feed["state"] != "connected":
        return f"{text}, {feed['state']} since {status['running']:.0f}s"
    age = feed["last_frame"] if feed["last_frame"] is not None else status["running"]
    return f"{text}, nothing but pongs for {age:.0f}s" if age > bounds.quiet else text


def _books(status: dict[str, Any], bounds: Bounds) -> list[str]:
    """Wanted markets that are open and without a whole book for longer than it takes to get one."""
    builder = status["builder"]
    late = [ticker for ticker, age in builder["not_whole"].items() if age is None or age > bounds.book]
    if status["feed"]["state"] != "connected" or not late:
        return []
    open_ = builder["wanted"] - builder["closed"]
    count = builder["not_whole_count"]
    more = f" and {count - NAMED_IN_TEXT} more" if count > NAMED_IN_TEXT else ""
    return [f"{open_ - count} of {open_} books: none, or no whole one, of {', '.join(late[:NAMED_IN_TEXT])}{more}"]


def _feed(status: dict[str, Any], bounds: Bounds) -> list[str]:
    feed = status["feed"]
    if feed["state"] != "connected":
        if status["running"] < bounds.connecting and not feed["error"]:
            return []
        if feed.get("key_refused_since"):
            return [f"the exchange refuses the key since {feed['key_refused_since']}, not connected: {feed['error']}"]
        return [f"not connected ({feed['state']}): {feed['error'] or 'the exchange does not answer'}"]
    signs = [age for age in (feed["last_frame"], feed["last_pong"], feed["last_heard"]) if age is not None]
    if min(signs, default=0.0) > bounds.sign_of_life:
        return [f"no frame and no pong for {min(signs):.0f}s"]
    return []


def _journal(status: dict[str, Any], bounds: Bounds) -> list[str]:
    journal = status["journal"]
    if journal["error"]:
        return [f"the journal cannot be written: {journal['error']}"]
    waits = journal["last_frame"] - journal["durable_frame"]
    if waits and (journal["last_fsync"] or status["running"]) > bounds.journal:
        return [f"the journal is behind: {waits} records wait, last fsync {journal['last_fsync']}s ago"]
    return []


def _sinks(status: dict[str, Any], bounds: Bounds) -> list[str]:
    wrong = []
    durable = status["journal"]["durable_frame"]
    for name, sink in status["sinks"].items():
        stored = sink["last_stored"] if sink["last_stored"] is not None else status["running"]
        if sink["state"] in ("retrying", "refused"):
            wrong.append(f"{name} is {sink['state']}: {sink['error']}")
        elif sink["through"] < durable and stored > bounds.sink:
            wrong.append(f"{name} is behind: frame {sink['through']} of {durable}, nothing stored for {stored:.0f}s")
    return wrong


async def publish_status(
    stats: Stats,
    path: Path,
    wall_ns: Callable[[], int] = time.time_ns,
    mono_ns: Callable[[], int] = time.monotonic_ns,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Writes the status at once and then every second, until cancelled; then it goes. A disk that refuses is no matter."""
    task_status.started()
    try:
        while True:
            _write(path, status_of(stats, wall_ns(), mono_ns()))
            await trio.sleep(EVERY)
    finally:
        _forget(path)


def _forget(path: Path) -> None:
    with suppress(OSError):  # of a disk that is read-only even what is not there cannot be removed
        path.unlink(missing_ok=True)


def _write(path: Path, status: dict[str, Any]) -> None:
    """Without fsync: a second later it is written anew, and after a power cut nobody is left of whom it tells."""
    with suppress(OSError):
        write_whole(path, json_with_hash(status), durable=False)


def examine(data: Path, now_ns: int, bounds: Bounds | None = None) -> tuple[dict[str, Any] | None, list[str]]:
    """The status of the recorder that holds `data`, and what is wrong with it.

    Whether one runs at all is asked of the lock, which the kernel lets go when its holder dies, however that was.
    """
    try:
        status = checked_json(read_regular(data / "status.json"))
        held = is_held(data / "recorder.lock")
        if held is False:
            silent = max(now_ns - status["at_ns"], 0) / 1e9
            return status, [f"no recorder runs in {data}: the last one was killed, at most {silent:.0f}s ago"]
        return status, judge(status, now_ns, bounds or Bounds())
    except FileNotFoundError:
        return None, [f"no recorder runs in {data}"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return None, [f"{data / 'status.json'} cannot be read, or is another version's: {error!r}"]
