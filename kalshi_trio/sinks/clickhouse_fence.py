"""The fence that keeps late inserts out of a server's tables: an insert is taken only under the newest epoch of its session.

An insert whose answer was lost may reach the server seconds later, when its rows have long been asked for, not found and
written again; no waiting time is long enough. So each insert carries a guard that the server asks as the query begins,
and in any doubt the epoch is raised first. Then: an insert that saw the old epoch was in the list of processes before
the raise, so it is found there and ended, or is over and its rows are seen; one that begins later is refused (code 395).

The server enters a query in that list before it asks the guard; that list and the rows are one server's, so the guard
names the server, too. An insert into the embedded engine is a call in this process and has ended when the call has:
there is nothing to fence.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa

from kalshi_trio.errors import SinkRefused, SinkUnavailable
from kalshi_trio.logging_config import get_logger
from kalshi_trio.sinks.clickhouse_errors import ACCESS_DENIED, code_of
from kalshi_trio.sinks.clickhouse_link import Link
from kalshi_trio.sinks.clickhouse_schema import FENCE, FENCE_SCHEMA

log = get_logger(__name__)

ENDING_SECS = 10.0
"""How long an earlier insert may take to end after KILL QUERY."""
STRANGERS = 3
"""So often in a row somebody else may take the fence before it is left to them."""
QUIET_SECS = 50.0
"""The fence that was left is taken back when its new holder has neither raised it nor stored a row for so long."""


def next_epoch(held: int, bits: int) -> int:
    """The epoch after `held`; `bits`, 32 random ones, keep two that raise at the same time apart."""
    return ((held >> 32) + 1) << 32 | bits


class Fence:
    """The epochs of one server's sessions. Blocking; raises SinkUnavailable and SinkRefused.

    `bits(32)` gives 32 random bits. `rows(session)` tells something that changes when rows of the session are stored.
    """

    def __init__(self, link: Link, bits: Callable[[int], int], rows: Callable[[str], object]) -> None:
        self._link = link
        self._bits = bits
        self._rows = rows
        self._tried: dict[str, int] = {}
        self._epochs: dict[str, int] = {}
        self._strangers: dict[str, int] = {}
        self._left: dict[str, tuple[object, float]] = {}

    def epoch(self, session: str) -> int:
        """The epoch for inserts of the session; SinkUnavailable in doubt: `raise_for` it, then ask what is held."""
        if session not in self._epochs:
            raise SinkUnavailable(f"what ClickHouse holds of session {session} has to be asked first")
        return self._epochs[session]

    def doubt(self, session: str) -> None:
        """An answer was lost, or an insert refused: nothing more is inserted before the epoch is raised."""
        self._epochs.pop(session, None)

    def guard(self, session: str) -> str:
        """The condition that every insert of the session carries. It throws: no rows at all would look like success."""
        epoch, link = self.epoch(session), self._link
        held = f"SELECT max(epoch) FROM {link.full(FENCE)} WHERE session = {_quoted(session)}"  # noqa: S608  quoted
        guard = f"NOT throwIf(({held}) != {epoch}, 'fenced: the epoch was raised')"
        return f"{guard} AND NOT throwIf(toString(serverUUID()) != '{link.server}', 'fenced: another server')"

    def raise_for(self, session: str) -> None:
        """Shuts out whatever was inserted for the session before, and returns when nothing of it runs any more."""
        self.doubt(session)
        held = self._held(session)
        self._yield_to_others(session, held)
        epoch = next_epoch(max(held, self._tried.get(session, 0)), self._bits(32))
        if epoch >= 1 << 64:
            raise SinkRefused(f"the table {FENCE} holds an epoch of session {session} that cannot be raised: {held}")
        self._tried[session] = epoch
        row = pa.table({"session": [session], "epoch": pa.array([epoch], pa.uint64())}, schema=FENCE_SCHEMA)
        self._link.insert(FENCE, row, f"{session}/{FENCE}/{epoch}")
        self._end_running(session)
        if self._held(session) != epoch:
            raise SinkUnavailable(f"the epoch of session {session} was raised by somebody else at the same time")
        self._epochs[session] = epoch

    def _held(self, session: str) -> int:
        """The newest epoch, from the server that this client has always spoken to."""
        asked = f"SELECT max(epoch), toString(serverUUID()), hostName() FROM {self._link.full(FENCE)} "  # noqa: S608  our own names
        epoch, server, host = self._link.one(asked + "WHERE session = {session:String}", {"session": session})
        if server != self._link.server:
            if self._link.cluster:
                raise SinkUnavailable(f"another replica answers ({host})")
            raise SinkRefused(
                f"another server answers than before ({host}): an insert may still run on the old one, where it cannot "
                "be ended. Let CLICKHOUSE_URL name one server, or start the recorder anew if the old one is gone"
            )
        return int(epoch)

    def _yield_to_others(self, session: str, held: int) -> None:
        """Raising against each other would go on for ever: after some times the other one may have it."""
        tried = self._tried.get(session)
        stranger = tried is not None and held > tried
        self._strangers[session] = self._strangers.get(session, 0) + 1 if stranger else 0
        if self._strangers[session] < STRANGERS:
            return
        seen, now = (held, self._rows(session)), time.monotonic()
        before, since = self._left.get(session, (None, now))
        if before == seen and now - since >= QUIET_SECS:
            log.warning("Nothing of session %s was stored by anybody else any more; it is taken up again", session)
            del self._left[session]
            return
        self._left[session] = (seen, since if before == seen else now)
        raise SinkRefused(
            f"another process stores session {session} into {self._link.database}, too, and has fenced this one off "
            f"{STRANGERS} times. Nothing is lost or doubled; stop one of the two"
        )

    def _end_running(self, session: str) -> None:
        mine = {"prefix": f"{session}/"}
        asked = "SELECT count() FROM system.processes WHERE startsWith(query_id, %(prefix)s)"
        deadline = time.monotonic() + ENDING_SECS
        denied: SinkRefused | None = None
        while self._link.one(asked, mine)[0]:
            if time.monotonic() > deadline:
                message = f"an earlier insert of session {session} still runs and does not end"
                if denied is not None:
                    raise SinkRefused(f"{message}, and this user may not end it (GRANT KILL QUERY ON *.*): {denied}")
                raise SinkUnavailable(message)
            if denied is not None:
                time.sleep(0.1)
                continue
            try:
                self._link.command("KILL QUERY WHERE startsWith(query_id, %(prefix)s) SYNC", mine)
            except SinkRefused as error:
                if code_of(error) != ACCESS_DENIED:
                    raise
                denied = error  # it may end by itself


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
