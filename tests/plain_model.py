"""What the rows of a session have to be, worked out once more with plain dicts: it shares no code with the program.

It reads a journal's records one by one, with `json`, and knows nothing of speed: every book touched in an instant is
looked at again when the instant is over, and every hole is asked whether a snapshot concerns it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

from plain_book import best, new_book, top
from plain_holes import BOOK, TERMINAL, Holes
from plain_wire import ROWS, Refused, Row, count_text, levels_of, price_text, time_of, units

CHANNELS = {
    "orderbook_snapshot": BOOK,
    "orderbook_delta": BOOK,
    "trade": "trade",
    "ticker": "ticker",
    "market_lifecycle_v2": "market_lifecycle_v2",
}
REPLIES = ("subscribed", "ok", "unsubscribed", "error")
ASKED_FOR = 1_000_001
"""Ids of our own commands begin here; a snapshot with one answers us and may bear any sequence number."""
TABLES = ("deltas", "snapshots", "trades", "tickers", "lifecycle", "top_of_book", "gaps", "sessions")


class Plain:
    """A session as it should be told: `rows`, `tally`, `types`, `books`; `lost` before a record that has holes before it."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {name: [] for name in TABLES}
        self.tally: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.books: dict[str, dict[str, Any]] = {}
        self.holes = Holes(partial(self._row, "gaps"))
        self._wanted: list[str] = []
        self._about = {"source": "live", "software": "", "settings": "{}"}
        self._links: dict[int, dict[int, dict[str, Any]]] = {}
        self._greeted: set[int] = set()
        self._turned: set[int] = set()
        self._lost = False
        self._here: Row = {}

    def lost(self) -> None:
        """Records are missing before the next one."""
        self._lost = True

    def record(self, frame: int, kind: str, connection: int, ts_recv: int, data: bytes) -> None:
        """Takes one record of the journal."""
        self._here = {"frame": frame, "ts_recv": ts_recv, "connection": connection, "sid": 0, "seq": 0}
        if self._lost:
            self._lost = False
            self._damage()
        if kind == "frame":
            self._links.setdefault(connection, {})
            self.tally["received"] += 1
            self._frame(data)
        elif kind == "connection":
            self._connection(connection, json.loads(data))
        elif kind == "session":
            self._session(json.loads(data))

    def _row(self, table: str, values: Row) -> None:
        self.rows[table].append({"ts_event": None, **self._here, **values})

    def _frame(self, data: bytes) -> None:
        try:
            message = json.loads(data)
            kind = str(message["type"])
        except (ValueError, TypeError, KeyError):
            self.tally["refused"] += 1
            self._miss(self._here["connection"])
            return
        connection, sid, seq = self._here["connection"], message.get("sid", 0), message.get("seq", 0)
        self._here |= {"sid": sid, "seq": seq}
        run = self._run(connection, sid)
        run["channel"] = run["channel"] or CHANNELS.get(kind, "")
        stale = self._out_of_sequence(run, kind, message) if sid and seq else False
        msg = message.get("msg", {})
        try:
            if kind == "orderbook_delta":
                self._delta(run, msg, stale=stale)
            elif kind == "orderbook_snapshot":
                self._snapshot(run, msg, stale=stale)
            elif kind in ROWS:
                table, row = ROWS[kind]
                self._row(table, row(msg))
            elif kind in REPLIES:
                self._reply(kind, message, msg)
                self.tally["control"] += 1
            else:
                self.tally["unknown"] += 1
        except Refused:
            self.tally["refused"] += 1
            self._missed(kind, msg)
        else:
            self.types[kind] += 1

    def _run(self, connection: int, sid: int) -> dict[str, Any]:
        fresh = {"key": (connection, sid), "channel": "", "next": 1, "now": 0, "touched": set(), "back": None}
        return self._links.setdefault(connection, {}).setdefault(sid, fresh)

    def _out_of_sequence(self, run: dict[str, Any], kind: str, message: Row) -> bool:
        """Whether this number came before; opens the hole that it shows. `next` None: any number will do."""
        expected, got = run["next"], message["seq"]
        if expected in (None, got) or run["back"] == (got - 1, expected):
            run["next"] = got + 1
            run["back"] = None if expected != got else run["back"]
            return False
        if kind == "orderbook_snapshot" and message.get("id", 0) >= ASKED_FOR:
            return False
        run["next"] = max(expected, got + 1)
        run["back"] = (got, expected) if got < expected else None  # the next one may show that the run began again
        cause = "joined_late" if expected == 1 else "sequence"
        if run["channel"] == BOOK:
            self._spoil(self._concerned(*run["key"]), cause, expected, got)
        else:
            self.holes.open(self._here, cause, run["channel"] or None, self._wanted, expected, got)
        return bool(got < expected)

    def _missed(self, kind: str, msg: Row) -> None:
        """A frame of a book could not be read: that book misses it; if it names none, all of its sid's."""
        if kind in ("orderbook_delta", "orderbook_snapshot"):
            named = msg.get("market_ticker")
            if not named:
                self._miss(self._here["connection"], self._here["sid"])
            elif self.books.get(named, new_book())["whole"] or (
                (named in self.books or named in self._wanted) and not self.holes.waiting_for(named)
            ):
                self._spoil([named], "unreadable")

    def _delta(self, run: dict[str, Any], msg: Row, *, stale: bool) -> None:
        side, market = msg["side"], msg.get("market_ticker")
        if side not in ("yes", "no") or not market:
            raise Refused
        price = units(msg["price_dollars"], 4) if "price_dollars" in msg else msg["price"] * 100
        change = units(msg["delta_fp"], 2) if "delta_fp" in msg else msg["delta"] * 100
        time = time_of(msg)
        book, size = self.books.setdefault(market, new_book()), None
        self._clock(run, time)
        if book["whole"] and book["via"] == run["key"] and not stale:
            size = book[side].get(price, 0) + change
            book |= {"seen": (self._here["frame"], self._here["ts_recv"]), "time": time}
            if size < 0:
                size = None
                self._impossible(market)
            else:
                book[side] |= {price: size}
                if not size:
                    del book[side][price]
                run["touched"].add(market)
        elif not book["based"]:
            book["via"] = run["key"]
        what = {"market": market, "side": side, "price": price_text(price), "delta": count_text(change)}
        self._row("deltas", {"ts_event": time, **what, "size": count_text(size), "valid": size is not None})

    def _snapshot(self, run: dict[str, Any], msg: Row, *, stale: bool) -> None:
        sides = {side: levels_of(msg, side) for side in ("yes", "no")}
        market = msg["market_ticker"]
        levels: list[tuple[str | None, int | None, int | None]] = [
            (side, price, size) for side, found in sides.items() for price, size in found
        ]
        whole = {"market": market, "levels": len(levels)}
        for side, price, size in levels or [(None, None, None)]:
            self._row("snapshots", {**whole, "side": side, "price": price_text(price), "size": count_text(size)})
        book = self.books.setdefault(market, new_book())
        if stale:
            return
        crossed = sum(max((price for price, size in found if size), default=0) for found in sides.values()) > 10_000
        if run["key"][0] in self._turned:
            self._distrust(market)
            return
        if book["doubted"] and not book["whole"] and crossed:
            return
        book["doubted"] = book["turned"] = False
        if not book["whole"]:
            book["since"] = self._here["ts_recv"]
        for name, found in sides.items():
            book[name] = {at: many for at, many in dict(found).items() if many}
        book |= {"based": True, "whole": True, "via": run["key"], "time": None}
        book["seen"] = (self._here["frame"], self._here["ts_recv"])
        run["touched"].add(market)
        self.holes.snapshot(market, self._here["ts_recv"])

    def _reply(self, kind: str, message: Row, msg: Row) -> None:
        runs = self._links[self._here["connection"]]
        sid = message.get("sid") or msg.get("sid", 0)
        if kind == "subscribed":
            self._run(self._here["connection"], sid)["channel"] = msg["channel"]
            self.holes.subscribed(msg["channel"], self._here["ts_recv"])
        elif kind == "unsubscribed" and sid in runs and message.get("id", 0) >= ASKED_FOR:
            run = runs.pop(sid)
            self._instant_over(run, None, cut_short=True)
            for market, book in self.books.items():
                if book["via"] == run["key"]:
                    self._distrust(market)
                    book |= {"based": False, "yes": {}, "no": {}}
        elif sid in runs and (kind == "unsubscribed" or (kind == "error" and msg.get("code") in TERMINAL)):
            run, cause = runs.pop(sid), TERMINAL[msg.get("code", 10)]
            self._instant_over(run, None, cut_short=True)
            if run["channel"] == BOOK:
                self._spoil(self._concerned(*run["key"]), cause)
            else:
                self.holes.open(self._here, cause, run["channel"] or None, self._wanted)

    def _connection(self, number: int, event: Row) -> None:
        if event["event"] == "open":
            self._greeted.add(number)
            self._links.setdefault(number, {})
        elif event["event"] == "closed":
            final = event.get("final", False)
            concerned = self._concerned(number)
            self._drop(number, final=final)
            if not final and (self._links.get(number) or number in self._greeted):
                self.holes.open(self._here, event["cause"], None, concerned)
            self._links.pop(number, None)
            self._greeted.discard(number)
            self._turned.discard(number)

    def _session(self, event: Row) -> None:
        if event["event"] == "started":
            self._wanted = event["markets"]
            settings = json.dumps(event["settings"], sort_keys=True, separators=(",", ":"))
            self._about = {"source": event["source"], "software": event["software"], "settings": settings}
        else:
            for number in self._links:
                self._drop(number, final=True)
        what = {"event": event["event"], "markets": list(self._wanted), "verdict": event.get("verdict")}
        self._row("sessions", {**what, **self._about})
        if event["event"] == "started" and event.get("previous"):
            self.holes.open(self._here, "crash", None, self._wanted)

    def _damage(self) -> None:
        concerned = {*self._wanted, *(market for number in self._links for market in self._concerned(number))}
        for number, runs in self._links.items():
            self._drop(number, final=False)
            for run in runs.values():
                run["next"] = None
        self.holes.open(self._here, "damage", None, concerned)

    def _drop(self, connection: int, *, final: bool) -> None:
        """The connection is over: what is pending is told, its books are gone; a hole begins unless all is over."""
        for run in self._links.get(connection, {}).values():
            self._instant_over(run, None, cut_short=True)
        for market, book in self.books.items():
            if book["based"] and book["via"][0] == connection:
                self._distrust(market, tell=not final)
                book |= {"based": False, "yes": {}, "no": {}}

    def _clock(self, run: dict[str, Any], time: int | None) -> None:
        """Without a time, every message is an instant; a step back of a minute was a wrong clock's."""
        if time is None:
            self._instant_over(run, None)
        elif time > run["now"] or time < run["now"] - 60_000_000:
            self._instant_over(run, time)
            run["now"] = time

    def _instant_over(self, run: dict[str, Any], next_time: int | None, *, cut_short: bool = False) -> None:
        """Books that cross are wrong when the exchange's clock moves on, and not told; the others' tops are news or not."""
        touched, run["touched"] = run["touched"], set()
        for market in touched:
            book = self.books[market]
            if not book["whole"] or book["via"] != run["key"]:
                continue
            (bid, bid_size), (no, no_size) = best(book["yes"]), best(book["no"])
            if (bid or 0) + (no or 0) <= 10_000:
                ask = None if no is None else 10_000 - no
                told = (bid, bid_size, ask, no_size)
                if told != book["told"]:
                    book["told"] = told
                    self._top(market, told, book["time"], *book["seen"], valid=True)
            elif cut_short:
                continue
            elif book["time"] is None or next_time is None:  # a snapshot bears no time: it has until the next is over
                book["time"] = book["time"] or next_time
                run["touched"].add(market)
            else:
                book["doubted"] = book["told"] is None
                book["turned"] = book["doubted"] and max(book["yes"]) <= min(book["no"])
                self._impossible(market)
                self._look_turned(run["key"][0])

    def _top(
        self, market: str, of: tuple[int | None, ...], time: int | None, frame: int, ts_recv: int, *, valid: bool
    ) -> None:
        seen = {"book_frame": frame, "book_ts_recv": ts_recv}
        self._row("top_of_book", {"ts_event": time, "market": market, "valid": valid, **seen, **top(of)})

    def _distrust(self, market: str, *, tell: bool = True) -> None:
        book = self.books[market]
        if book["whole"]:
            book["whole"] = False
            book["spans"].append((book["since"], self._here["ts_recv"]))
            if book["told"] is not None and tell:
                book["told"] = None
                self._top(market, (None,) * 4, None, self._here["frame"], self._here["ts_recv"], valid=False)

    def _concerned(self, connection: int, sid: int | None = None) -> set[str]:
        """Markets whose books came from there, and those wanted that have no book anywhere."""
        mine = {m for m, book in self.books.items() if book["via"] and book["via"][: 1 if sid is None else 2] == (
            (connection,) if sid is None else (connection, sid))}  # fmt: skip
        return mine | {market for market in self._wanted if not self.books.get(market, new_book())["based"]}

    def _miss(self, connection: int, sid: int | None = None) -> None:
        found = {m for m in self._concerned(connection, sid) if m in self._wanted or self.books[m]["whole"]}
        if found:
            self._spoil(found, "unreadable")

    def _look_turned(self, connection: int) -> None:
        """Where most books of a connection would be possible if NO prices were YES prices, none is to be trusted."""
        mine = {m: book for m, book in self.books.items() if book["based"] and book["via"][0] == connection}
        if len(mine) > 1 and 2 * sum(book["turned"] for book in mine.values()) > len(mine):
            self._turned.add(connection)
            if whole := [market for market, book in mine.items() if book["whole"]]:
                self._spoil(whole, "impossible_book")

    def _impossible(self, market: str) -> None:
        if market in self.books and self.books[market]["whole"]:
            self._spoil([market], "impossible_book")

    def _spoil(self, markets: Iterable[str], cause: str, expected: int | None = None, got: int | None = None) -> None:
        self.holes.open(self._here, cause, BOOK, markets, expected, got)
        for market in markets:
            if market in self.books:
                self._distrust(market)
