"""What the rows of a session have to be, worked out once more with plain dicts: it shares no code with the program.

It reads a journal's records one by one, with `json`, and knows nothing of speed: every book touched in an instant is
looked at again when the instant is over, and every gap is asked whether a snapshot concerns it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

from plain_book import best, new_book, top
from plain_gaps import BOOK, TERMINAL, Gaps
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
    """A session as it should be told: `rows`, `tally`, `types`, `books`; `lost` before a record behind lost ones."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {name: [] for name in TABLES}
        self.tally: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.books: dict[str, dict[str, Any]] = {}
        self.gaps = Gaps(partial(self._row, "gaps"), self._without_book)
        self.wanted: list[str] = []
        self.began: int | None = None
        self._told_what_is_wanted = self._as_seen = False
        self._awaited: dict[str, tuple[int, int]] = {}
        self._heard: dict[int, dict[str, int]] = {}
        self._before = 0
        self._about = {"source": "live", "software": "", "settings": "{}"}
        self._links: dict[int, dict[int, dict[str, Any]]] = {}
        self._turned: set[int] = set()
        self._lost = False
        self._here: Row = {}

    def lost(self) -> None:
        """Records are missing before the next one."""
        self._lost = True

    def record(self, frame: int, kind: str, connection: int, ts_recv: int, mono_ns: int, data: bytes) -> None:
        """Takes one record of the journal."""
        self._here = {"frame": frame, "ts_recv": ts_recv, "connection": connection, "sid": 0, "seq": 0}
        self._mono = mono_ns
        self.began = ts_recv if self.began is None else self.began
        if self._lost:
            self._lost = False
            self._damage()
        self._before = ts_recv
        self._judge(mono_ns)
        if kind == "frame":
            self._links.setdefault(connection, {})
            heard = self._heard.setdefault(connection, {"opened": ts_recv, "last": ts_recv})
            self.tally["received"] += 1
            self._frame(data)
            heard["last"] = ts_recv
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
            self._spoil_all(self._here["connection"], None, "unreadable", None)
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
                self._snapshot(run, message, stale=stale)
            elif kind in ROWS:
                table, row = ROWS[kind]
                self._row(table, row(msg))
                if table == "lifecycle":
                    self._life(msg)
            elif kind in REPLIES:
                self._reply(kind, message, msg)
                self.tally["control"] += 1
            else:
                self.tally["unknown"] += 1
        except Refused:
            self.tally["refused"] += 1
            self._missed(run, kind, msg)
        else:
            self.types[kind] += 1
        if run["next"] == seq + 1:
            run["heard"] = self._here["ts_recv"]

    def _run(self, connection: int, sid: int) -> dict[str, Any]:
        fresh: dict[str, Any] = {"key": (connection, sid), "channel": "", "next": 1, "now": 0, "touched": set()}
        fresh |= {"heard": None, "back": None}
        return self._links.setdefault(connection, {}).setdefault(sid, fresh)

    def _out_of_sequence(self, run: dict[str, Any], kind: str, message: Row) -> bool:
        """Whether this number came before; opens the gap that it shows. `next` None: any number will do."""
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
        where: tuple[int, int] = run["key"]
        if run["channel"] in (BOOK, ""):
            self._spoil_all(*where, cause, run["channel"] or None, expected=expected, got=got)
        else:
            told = {"sid": run["key"][1], "expected": expected, "got": got}
            self.gaps.open(self._here, cause, run["channel"], self.wanted, self._known(*run["key"]), **told)
        if got < expected:
            run["heard"] = self._here["ts_recv"]
        return bool(got < expected)

    def _missed(self, run: dict[str, Any], kind: str, msg: Row) -> None:
        """A frame could not be read: its market misses it; if it names none, all that it may have been about."""
        (connection, sid), named = run["key"], msg.get("market_ticker")
        channel = CHANNELS.get(kind)
        if channel == BOOK and named:
            if self._wants(named):
                self._spoil([named], "unreadable", (connection, sid), self._known(connection, sid or None))
            elif named in self.books:
                self._distrust(named)
        elif channel in (BOOK, None):
            self._spoil_all(connection, sid or None, "unreadable", channel)
        elif not named or self._wants(named):
            about = [named] if named else self.wanted
            if about:
                self.gaps.open(self._here, "unreadable", channel, about, self._known(connection, sid or None), sid=sid)

    def _life(self, msg: Row) -> None:
        """A market that is determined is closed, until it is activated again and trades."""
        market, event = msg.get("market_ticker"), msg["event_type"]
        if market and self._wants(market):
            if event in ("determined", "settled"):
                self.books.setdefault(market, new_book())
                self._close(market, "determined")
            elif event == "activated" and self.books.get(market, new_book())["closed"]:
                self.books[market]["closed"] = "emptied"

    def _close(self, market: str, how: str) -> None:
        book = self.books[market]
        book["closed"] = how if book["closed"] != "determined" else "determined"
        self.gaps.market(market, self._here["ts_recv"])
        self._awaited.pop(market, None)
        book["cover"].mark("closed", self._here["ts_recv"])

    def _reopen(self, market: str) -> None:
        if self.books[market]["closed"] == "emptied":
            self.books[market]["closed"] = ""
            self.books[market]["cover"].mark("whole", self._here["ts_recv"])

    def _without_book(self, market: str, since: int, cause: str) -> None:
        """A gap begins for this market."""
        self._awaited.pop(market, None)
        if self._wants(market):
            book = self.books.setdefault(market, new_book())
            book["closed"] = ""
            book["cover"].mark("gap", since, cause)

    def _wants(self, market: str) -> bool:
        return market in self.wanted or not self._told_what_is_wanted

    def _await(self, market: str, since: int) -> None:
        self._awaited.setdefault(market, (since, self._mono))

    def _judge(self, mono_ns: int | None) -> None:
        """Ten seconds are enough for a first snapshot; None: there is no more time."""
        late = {m: since for m, (since, asked) in self._awaited.items() if mono_ns is None or mono_ns - asked >= 10**10}
        for since in dict.fromkeys(late.values()):
            self.gaps.open(self._here, "no_book", BOOK, [m for m in late if late[m] == since], since)

    def _known(self, connection: int, sid: int | None = None) -> int:
        """Until when we know that we have all of a sid, or of the whole connection."""
        heard = self._heard.get(connection, {"opened": self._here["ts_recv"], "last": self._here["ts_recv"]})
        if sid is None:
            return heard["last"]
        return self._links[connection].get(sid, {}).get("heard") or heard["opened"]

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
                if price >= max(book[side], default=0) and market not in run["touched"]:
                    self._reopen(market)
                book[side] |= {price: size}
                if not size:
                    del book[side][price]
                run["touched"].add(market)
        else:
            self._no_base(run, market, book)
        what = {"market": market, "side": side, "price": price_text(price), "delta": count_text(change)}
        self._row("deltas", {"ts_event": time, **what, "size": count_text(size), "valid": size is not None})

    def _no_base(self, run: dict[str, Any], market: str, book: dict[str, Any]) -> None:
        """A delta of a market whose book is not whole; if no gap says so, one does now, or when its snapshot is late."""
        if not book["based"]:
            book["via"] = run["key"]
        if book["whole"] or book["cover"].now == "gap" or not self._wants(market):
            return
        if book["closed"] == "emptied":
            self._spoil([market], "no_book", run["key"], self._known(*run["key"]))
        elif not book["closed"]:
            self._await(market, self._known(*run["key"]))

    def _snapshot(self, run: dict[str, Any], message: Row, *, stale: bool) -> None:
        msg = message["msg"]
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
        self._whole(run, market, book, asked=message.get("id", 0) != 0, levels=bool(levels))
        for name, found in sides.items():
            book[name] = {at: many for at, many in dict(found).items() if many}
        book |= {"based": True, "whole": True, "via": run["key"], "time": None}
        book["seen"] = (self._here["frame"], self._here["ts_recv"])
        run["touched"].add(market)

    def _whole(self, run: dict[str, Any], market: str, book: dict[str, Any], *, asked: bool, levels: bool) -> None:
        """A snapshot: it heals; one without levels, not the first of its subscription, that nobody asked for closes."""
        book |= {"had": True, "proved": self._here["ts_recv"]}
        if not levels and not asked and book["based"] and book["via"] == run["key"]:
            self._close(market, "emptied")
            return
        self.gaps.market(market, self._here["ts_recv"])
        self._awaited.pop(market, None)
        if book["closed"] == "emptied" and levels:
            book["closed"] = ""
        if not book["closed"]:
            book["cover"].mark("whole", self._here["ts_recv"])

    def _reply(self, kind: str, message: Row, msg: Row) -> None:
        runs = self._links[self._here["connection"]]
        sid = message.get("sid") or msg.get("sid", 0)
        if kind == "subscribed":
            run = self._run(self._here["connection"], sid)
            run |= {"channel": msg["channel"], "heard": run["heard"] or self._here["ts_recv"]}
            self.gaps.subscribed(msg["channel"], self._here["ts_recv"])
        elif kind == "unsubscribed" and sid in runs and message.get("id", 0) >= ASKED_FOR:
            run = runs.pop(sid)
            self._instant_over(run, None, cut_short=True)
            for market, book in self.books.items():
                if book["via"] == run["key"]:
                    if self._wants(market):
                        self._close(market, "emptied")
                    self._distrust(market)
                    book |= {"based": False, "yes": {}, "no": {}}
        elif sid in runs and (kind == "unsubscribed" or (kind == "error" and msg.get("code") in TERMINAL)):
            run, cause = runs[sid], TERMINAL[msg.get("code", 10)]
            self._instant_over(run, None, cut_short=True)
            if run["channel"] in (BOOK, ""):
                self._spoil_all(self._here["connection"], sid, cause, run["channel"] or None)
            else:
                known = self._known(*run["key"])
                self.gaps.open(self._here, cause, run["channel"], self.wanted, known, sid=sid)
            del runs[sid]

    def _connection(self, number: int, event: Row) -> None:
        now = self._here["ts_recv"]
        if event["event"] == "open":
            self._links.setdefault(number, {})
            self._heard[number] = {"opened": now, "last": now}
            self.gaps.connected(now)
            for market in self.wanted if not self._as_seen else ():
                book = self.books.get(market, new_book())
                if not book["based"] and not book["closed"] and book["cover"].now != "gap":
                    self._await(market, now)
        elif event["event"] == "closed":
            final, heard = event.get("final", False), self._heard.pop(number, None)
            until = heard["last"] if heard and not final else now
            if heard and "heard_ns" in event:
                until = min(max(event["heard_ns"], heard["opened"]), now)
            if heard and not final:
                self.gaps.open(self._here, event["cause"], None, self._concerned(number), until)
            self._drop(number, until, final=final)
            self._links.pop(number, None)
            self._turned.discard(number)
            if final and not self._heard:
                self._judge(None)

    def _session(self, event: Row) -> None:
        if event["event"] == "started":
            self.wanted, self._told_what_is_wanted = event["markets"], True
            self._as_seen = event.get("as_seen", False)
            settings = json.dumps(event["settings"], sort_keys=True, separators=(",", ":"))
            self._about = {"source": event["source"], "software": event["software"], "settings": settings}
        else:
            for number in self._links:
                self._drop(number, self._here["ts_recv"], final=True)
            if event["event"] == "ended":
                self._judge(None)
        what = {"event": event["event"], "markets": list(self.wanted), "verdict": event.get("verdict")}
        self._row("sessions", {**what, **self._about})
        for dead in event.get("died", []):
            self.gaps.open(self._here, "crash", None, {*dead["markets"], *self.wanted}, dead["at_ns"])

    def _damage(self) -> None:
        concerned = {market for number in self._links for market in self._concerned(number)} | self._without()
        self.gaps.open(self._here, "damage", None, concerned, self._before or self._here["ts_recv"])
        for number, runs in self._links.items():
            self._drop(number, 0, final=False)
            for run in runs.values():
                run["next"] = None

    def _drop(self, connection: int, until: int, *, final: bool) -> None:
        """The connection is over: what is pending is told, its books are gone."""
        for run in self._links.get(connection, {}).values():
            self._instant_over(run, None, cut_short=True)
        for market, book in self.books.items():
            if book["based"] and book["via"][0] == connection:
                if final and book["whole"] and book["cover"].now == "whole":
                    book["cover"].mark("", until)
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
                if (bid or no) and told_otherwise(book, bid, bid_size, no, no_size):
                    self._reopen(market)
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
            if book["cover"].now == "whole":
                book["cover"].mark("", self._here["ts_recv"])
            if book["told"] is not None and tell:
                book["told"] = None
                self._top(market, (None,) * 4, None, self._here["frame"], self._here["ts_recv"], valid=False)

    def _concerned(self, connection: int, sid: int | None = None) -> set[str]:
        """Wanted markets whose books came from there, and those that have no book anywhere; not the closed ones."""
        mine = {market for market in self._at(connection, sid) if self._wants(market)}
        return {market for market in mine if not self.books[market]["closed"]} | self._without()

    def _at(self, connection: int, sid: int | None) -> list[str]:
        place = (connection,) if sid is None else (connection, sid)
        return [market for market, book in self.books.items() if book["via"] and book["via"][: len(place)] == place]

    def _without(self) -> set[str]:
        """Wanted markets without any book; those that nobody has seen yet only if they were asked for."""
        known = {m: self.books.get(m) for m in self.wanted if m in self.books or not self._as_seen}
        return {m for m, book in known.items() if not book or not (book["based"] or book["closed"])}

    def _look_turned(self, connection: int) -> None:
        """Where most books of a connection would be possible if NO prices were YES prices, none is to be trusted."""
        mine = {m: book for m, book in self.books.items() if book["based"] and book["via"][0] == connection}
        if len(mine) > 1 and 2 * sum(book["turned"] for book in mine.values()) > len(mine):
            self._turned.add(connection)
            for market in [market for market, book in mine.items() if book["whole"]]:
                self._impossible(market)

    def _impossible(self, market: str) -> None:
        """Its numbers followed one another, so nobody knows since when it is wrong: its snapshot was right."""
        book = self.books[market]
        if self._wants(market):
            self._spoil([market], "impossible_book", book["via"], book["proved"])
        else:
            self._distrust(market)

    def _spoil(self, markets: Iterable[str], cause: str, place: tuple[int, int], since: int) -> None:
        self.gaps.open(self._here, cause, BOOK, markets, since, sid=place[1])
        for market in markets:
            self._distrust(market)

    def _spoil_all(self, connection: int, sid: int | None, cause: str, channel: str | None, **numbers: int) -> None:
        """No book of a sid, or of the connection, can be trusted; those of strangers alone make no gap."""
        concerned, mine = self._concerned(connection, sid), self._at(connection, sid)
        if concerned or not mine or any(self._wants(market) for market in mine):
            known = self._known(connection, sid)
            self.gaps.open(self._here, cause, channel, concerned, known, sid=sid or 0, **numbers)
        for market in {*mine, *concerned} & self.books.keys():
            self._distrust(market)


def told_otherwise(book: dict[str, Any], *now: int | None) -> bool:
    """Whether the last top that made a row was another."""
    bid, bid_size, no, no_size = now
    return bool(book["told"] != (bid, bid_size, None if no is None else 10_000 - no, no_size))
