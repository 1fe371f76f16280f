"""Audits: a market's book as REST shows it, compared with every state that the book has had around the request.

REST gives neither sequence number nor time, and a busy book moves while a request is under way. So from the record of
the request on the states of the book are kept, and the answer is judged against all of them:

    exact          the book stood still between request and answer, and is the same
    consistent     one of its states is the same: in that window, or behind it, where the websocket came later than REST
    inconsistent   none is, although it was watched for 5 s more: the book is lost and fetched again
    undecidable    nobody can tell, and the row says why

Whatever is decided is decided by a record of the journal: a frame, an answer, or, where time is up, the first one after
that. Nothing looks at single frames while no audit is under way.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.books import Books
from kalshi_trio.protocol.columns import ROW
from kalshi_trio.protocol.decoder import BAD
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.orderbooks import RestBook, books_in
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.state import State
from kalshi_trio.protocol.watch import Answer, Watch, levels_of

Verdict = Literal["exact", "consistent", "inconsistent", "undecidable"]

ANSWER_NS = 60_000_000_000
"""How long an answer is waited for: longer than any client does."""
LATE_NS = 5_000_000_000
"""How long after an answer the websocket may still bring what it showed."""
CHANGES = 10_000
"""Changed levels after which a book is too busy to be judged."""
WATCHES = 1_000
"""Books that are watched at once."""

_AUDIT = ROW["audits"].pack


class _Record(Struct):
    """A record of kind `rest`: a request (`asked`) or its end (`answered`; `status` None: no answer came)."""

    event: str = ""
    request: int = 0
    markets: list[str] = []
    status: int | None = None
    sent: int = NULL
    answered: int = NULL
    body: str = ""


class Audits:
    """A session's; those under way are in its state."""

    def __init__(self, state: State, out: Output, books: Books) -> None:
        self._state = state
        self._out = out
        self._books = books
        self._row = (0, 0)

    def record(self, data: bytes, mono_ns: int) -> None:
        """A record of kind `rest`; what is none changes nothing."""
        try:
            record = msgspec.json.decode(data, type=_Record)
        except BAD:
            return
        if record.event == "asked":
            for ticker in record.markets:
                self._asked(ticker, record.request, mono_ns)
        elif record.event == "answered":
            self._answered(record, mono_ns)

    def _asked(self, ticker: str, request: int, mono_ns: int) -> None:
        out, market = self._out, self._state.markets.get(ticker)
        watch = Watch(request, ticker, out.frame, out.ts_recv, mono_ns + ANSWER_NS, 0, 0, {})
        if market is None or not market.valid:
            self._found(watch, "undecidable", "no whole book")
        elif len(self._state.watches) >= WATCHES:
            self._found(watch, "undecidable", "too many audits")
        else:
            watch.lost, watch.seen, watch.levels = market.lost, market.last_frame, levels_of(market.book)
            self._state.watches.append(watch)

    def _answered(self, record: _Record, mono_ns: int) -> None:
        watches = [watch for watch in self._state.watches if watch.request == record.request and watch.answer is None]
        books: dict[str, RestBook] | None = None
        why = "unreadable answer"
        if record.status != 200:
            why = "no answer" if record.status is None else "refused"
        else:
            try:
                books = books_in(record.body)
            except WireError as error:
                self._out.warn(f"Audit: the answer of REST cannot be read: {error}")
        for watch in watches:
            watch.answer = Answer(self._out.frame, record.status or NULL, record.sent, record.answered, {})
            if books is None:
                self._end(watch, "undecidable", why)
            else:
                self._judge(watch, books.get(watch.market), mono_ns)

    def _judge(self, watch: Watch, book: RestBook | None, mono_ns: int) -> None:
        answer = watch.answer
        if book is None or answer is None:
            self._end(watch, "undecidable", "not in the answer")
            return
        try:
            answer.levels = book.levels()
        except WireError as error:
            self._out.warn(f"Audit: what REST says of {watch.market} cannot be read: {error}")
            self._end(watch, "undecidable", "unreadable answer")
            return
        still = watch.states == 1
        watch.answered(answer)
        if watch.settled:
            self._end(watch, "exact" if still else "consistent")
        else:
            watch.due = mono_ns + LATE_NS

    def look(self, why: str) -> None:
        """After each record while audits are under way: have their books moved? `why` one may be whole no more."""
        for watch in tuple(self._state.watches):
            market = self._state.markets[watch.market]
            if not market.valid or market.lost != watch.lost:
                self._end(watch, "undecidable", why)
            elif market.last_frame != watch.seen:
                watch.moved(market.last_frame, market.book)
                if watch.settled:
                    self._end(watch, "consistent")
                elif watch.changes > CHANGES:
                    self._end(watch, "undecidable", "too many changes")

    def time(self, mono_ns: int) -> None:
        """The clock as the next record has it: for some audits there may be nothing more to wait for."""
        for watch in tuple(self._state.watches):
            if watch.due > mono_ns:
                continue
            if watch.answer is None:
                self._end(watch, "undecidable", "no answer")
            else:
                self._end(watch, "inconsistent")

    def _end(self, watch: Watch, verdict: Verdict, why: str | None = None) -> None:
        self._state.watches.remove(watch)
        if verdict in ("exact", "consistent"):
            market = self._state.markets[watch.market]
            market.proved = max(market.proved, watch.asked_at)
        self._found(watch, verdict, why)

    def _found(self, watch: Watch, verdict: Verdict, why: str | None) -> None:
        """The finding as a row; a book that REST contradicts is not to be trusted."""
        state, out = self._state, self._out
        state.audits[verdict] = state.audits.get(verdict, 0) + 1
        self._row = (out.frame, self._row[1] + 1 if self._row[0] == out.frame else 0)
        answer, nearest, text = watch.answer, watch.nearest, out.packed.text
        said = (answer.frame, answer.status, answer.sent_at, answer.answered_at) if answer else (NULL,) * 4
        out.packed.rows["audits"] += _AUDIT(
            *(*self._row, NULL, out.sid, out.seq, text(watch.market), text(verdict), text(why)),
            *(watch.frame, said[0], nearest.frame if nearest else NULL, watch.states),
            *(len(answer.levels) if answer and nearest else NULL, nearest.differing if nearest else NULL),
            *(said[1], watch.asked_at, *said[2:]),
        )
        if verdict == "inconsistent" and nearest:
            levels = f"{nearest.differing} level" + "s" * (nearest.differing != 1)
            compared = f"{watch.states} state" + "s" * (watch.states != 1)
            out.warn(f"Audit: REST shows {watch.market} otherwise in {levels} ({compared} compared): fetching it again")
            self._books.lose_one(watch.market, "audit")
