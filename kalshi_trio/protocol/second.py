"""The second reading of a frame that the strict decoder, or its row, refused: field by field, exact, no float anywhere.

A field that nobody needs costs nothing, whatever it is. One that is given in another form than usual (a JSON number in
the place of a text, a text in that of an integer, null) is read as what it says. One that says nothing that a row may
hold is as if it were not there; where no row can be made without it, WireError names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from kalshi_trio.errors import WireError
from kalshi_trio.protocol import messages as m
from kalshi_trio.protocol.census import UNUSED, Census
from kalshi_trio.protocol.messages import SEQ_LIMIT, SID_LIMIT
from kalshi_trio.protocol.numbers import (
    COUNT_LIMIT_E2,
    PRICE_LIMIT_E4,
    TIME_LIMIT_US,
    Times,
    count_text,
    exact,
    price_text,
)

Object = dict[str, Raw]
"""A JSON object whose members nobody has looked at yet."""
_ID_LIMIT = 2**62
_MONEY_LIMIT = 2**62
_SIDES: dict[str, m.Side] = {"yes": "yes", "no": "no"}


class _Number(str):
    """A JSON number that is no integer, as its text."""

    __slots__ = ()


_value = msgspec.json.Decoder(float_hook=_Number).decode
_object = msgspec.json.Decoder(Object).decode
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def object_of(data: bytes | Raw) -> Object:
    """The members of a JSON object; WireError for anything else."""
    try:
        return _object(data)
    except msgspec.ValidationError:
        raise WireError("not a JSON object") from None
    except _BAD as error:
        raise WireError(str(error)) from error


def value_of(data: bytes | Raw) -> Any:
    """A JSON value, numbers that are no integers as a kind of text; WireError."""
    try:
        return _value(data)
    except _BAD as error:
        raise WireError(str(error)) from error


def whole_of(value: object, limit: int) -> int | None:
    """The integer from 0 to below `limit` that `value` is, or is the text of; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str):
        try:
            number = exact(value, 0)
        except WireError:
            return None
    else:
        return None
    return number if 0 <= number < limit else None


class Fields:
    """The members of one object, each read as what a row needs; None where it is absent, null, or unreadable.

    `odd` says of those that were not as they usually are in which form they came.
    """

    def __init__(self, members: Mapping[str, Raw]) -> None:
        self._members = members
        self.odd: dict[str, str] = {}

    def value(self, name: str) -> Any:
        """As JSON has it."""
        raw = self._members.get(name)
        return None if raw is None else value_of(raw)

    def text(self, name: str) -> str | None:
        """A text; of a number its digits."""
        value = self.value(name)
        if value is None or type(value) is str:
            return value
        if isinstance(value, (int, str)) and not isinstance(value, bool):
            self._odd(name, value)
            return str(value)
        return self._unread(name, value)  # type: ignore[no-any-return]

    def word(self, name: str) -> str | None:
        """A text that is one."""
        value = self.value(name)
        if value is None or type(value) is str:
            return value
        return self._unread(name, value)  # type: ignore[no-any-return]

    def whole(self, name: str, limit: int) -> int | None:
        """An integer from 0 to below `limit`."""
        value = self.value(name)
        if value is None:
            if name in self._members:
                self._odd(name, value)
            return None
        found = whole_of(value, limit)
        if type(value) is not int or found is None:
            self._odd(name, value)
        return found

    def money(self, name: str) -> int | None:
        """A signed integer; None if it has a fraction."""
        value = self.value(name)
        if value is None:
            return None
        try:
            found = exact(_digits(value), 0)
        except WireError:
            return self._unread(name, value)  # type: ignore[no-any-return]
        if type(value) is not int:
            self._odd(name, value)
        return found if abs(found) <= _MONEY_LIMIT else self._unread(name, value)

    def flag(self, name: str) -> bool | None:
        """True or false, however it is written; WireError if it is neither."""
        value = self.value(name)
        if value is None or isinstance(value, bool):
            return value
        found = {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())
        if found is None:
            raise WireError(f"{name}: {_shown(value)}")
        self._odd(name, value)
        return found

    def price(self, name: str, cents: str | None) -> str | None:
        """A price in dollars, as Kalshi writes it; of whole `cents` where dollars are not given."""
        return self._decimal(name, cents, 4, price_text, 0, PRICE_LIMIT_E4)

    def count(self, name: str, contracts: str | None) -> str | None:
        """A count of contracts, likewise."""
        return self._decimal(name, contracts, 2, count_text, 1 - COUNT_LIMIT_E2, COUNT_LIMIT_E2)

    def needed(self, name: str, old: str, found: str | None) -> str:
        """What was found for these two; WireError if that is nothing."""
        if found is None:
            given = next((key for key in (name, old) if self.value(key) is not None), None)
            raise WireError(f"no {name}" if given is None else f"{given}: {_shown(self.value(given))}")
        return found

    def _decimal(
        self, name: str, old: str | None, places: int, text: Callable[[int], str], least: int, limit: int
    ) -> str | None:
        """What is given under the newer name is not looked for under the old one, which was coarser."""
        given, value = name, self.value(name)
        if value is None and old is not None:
            given, value = old, self.value(old)
        if value is None:
            return None
        try:
            found = exact(_digits(value), places) if given == name else _legacy(value)
        except WireError:
            return self._unread(given, value)  # type: ignore[no-any-return]
        if type(value) is not (str if given == name else int):
            self._odd(given, value)
        return text(found) if least <= found < limit else self._unread(given, value)

    def _odd(self, name: str, value: object) -> None:
        self.odd[name] = _form(value)

    def _unread(self, name: str, value: object) -> Any:
        """What an unreadable field says: nothing."""
        self.odd[name] = f"unreadable {_form(value)}"


def _digits(value: object) -> str:
    """The text of a number, or a text that should be one; WireError for what is neither."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise WireError(_shown(value))
    return str(value) if isinstance(value, str) or abs(value) < _MONEY_LIMIT else ""


def _legacy(value: object) -> int:
    """A number of cents or contracts, in hundredths of them; as text it is another exchange's field. WireError."""
    if type(value) is str:
        raise WireError(_shown(value))
    return exact(_digits(value), 2)


def _form(value: object) -> str:
    """What it is in JSON."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, _Number)):
        return "number"
    if isinstance(value, str):
        return "text"
    return "null" if value is None else "list" if isinstance(value, list) else "object"


def _shown(value: object) -> str:
    return f"{value!r}"[:60]


class Second:
    """Reads known types, and counts in the census what came in an unusual form."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._times = Times()

    def read(self, name: str, thing: Object, unknown: Iterable[str]) -> m.Frame:
        """The frame of type `name` with these members; `unknown` are those that it should not have. WireError."""
        outer = Fields(thing)
        head: dict[str, Any] = {
            "sid": outer.whole("sid", SID_LIMIT) or 0,
            "seq": outer.whole("seq", SEQ_LIMIT) or 0,
            "id": outer.whole("id", _ID_LIMIT) or 0,
        }
        kind = m.TYPES[name]
        reader = _READERS.get(kind)
        if reader is None:
            plain: m.Frame = self._plain(kind, thing, head)
            self._count(f"{name}.", outer)
            return plain
        fields = _message(thing)
        inner = Fields(fields)
        strange = [thing[key] for key in unknown] + [fields[key] for key in fields.keys() - _known(kind)]
        msg = reader(self, inner, strange)
        self._count(f"{name}.", outer)
        self._count(name, inner)
        made: Any = kind(**head, msg=msg)
        return made  # type: ignore[no-any-return]

    @staticmethod
    def _plain(kind: type[Struct], thing: Object, head: dict[str, Any]) -> Any:
        """A type whose `msg` is read by whom it concerns."""
        raw = {key: thing[key] for key in ("msg", "market_tickers") if key in thing and key in kind.__struct_fields__}
        if kind in m.LIFECYCLE and "msg" not in raw:
            raise WireError("no msg")
        return kind(**head, **raw)

    def _count(self, place: str, fields: Fields) -> None:
        for field, form in fields.odd.items():
            self._census.form(place, field, form)

    def delta(self, fields: Fields, _strange: list[Raw]) -> m.Delta:
        """One whose price, count and side can be had."""
        side = _SIDES.get(fields.word("side") or "")
        if side is None:
            raise WireError(f"side: {_shown(fields.value('side'))}")
        price = fields.needed("price_dollars", "price", fields.price("price_dollars", "price"))
        count = fields.needed("delta_fp", "delta", fields.count("delta_fp", "delta"))
        ts, ts_ms = self._time(fields, "ts"), self._milliseconds(fields)
        return m.Delta(_ticker(fields), side, price, count, ts, ts_ms)

    def snapshot(self, fields: Fields, strange: list[Raw]) -> m.Snapshot:
        """A side that is not there is an empty one only if no list or object beside it may be that side."""
        ticker = _ticker(fields)
        yes, no = _side(fields, "yes"), _side(fields, "no")
        if not (yes and no) and any(bytes(raw).lstrip()[:1] in (b"[", b"{") for raw in strange):
            raise WireError("a side is missing, and there are lists or objects of unknown names")
        return m.Snapshot(ticker, yes, no)

    def trade(self, fields: Fields, _strange: list[Raw]) -> m.Trade:
        """Its price may be told by either side."""
        return m.Trade(
            _ticker(fields),
            fields.text("trade_id") or "",
            fields.price("yes_price_dollars", "yes_price"),
            fields.price("no_price_dollars", "no_price"),
            fields.count("count_fp", "count"),
            fields.word("taker_side"),
            fields.word("taker_outcome_side"),
            is_block_trade=fields.flag("is_block_trade"),
            ts=self._seconds(fields),
            ts_ms=self._milliseconds(fields),
        )

    def ticker(self, fields: Fields, _strange: list[Raw]) -> m.Ticker:
        """All but the market may be missing."""
        prices = {f"{name}_dollars": fields.price(f"{name}_dollars", name) for name in ("price", "yes_bid", "yes_ask")}
        sizes = {
            name: fields.count(name, None) for name in ("yes_bid_size_fp", "yes_ask_size_fp", "last_trade_size_fp")
        }
        totals = {f"{name}_fp": fields.count(f"{name}_fp", name) for name in ("volume", "open_interest")}
        money = {name: fields.money(name) for name in ("dollar_volume", "dollar_open_interest")}
        times = {"ts": self._seconds(fields), "ts_ms": self._milliseconds(fields)}
        return m.Ticker(_ticker(fields), **prices, **sizes, **totals, **money, **times)  # type: ignore[arg-type]

    def _milliseconds(self, fields: Fields) -> int | None:
        return fields.whole("ts_ms", TIME_LIMIT_US // 1_000)

    @staticmethod
    def _seconds(fields: Fields) -> int | None:
        return fields.whole("ts", TIME_LIMIT_US // 1_000_000)

    def _time(self, fields: Fields, name: str) -> str | None:
        text = fields.word(name)
        try:
            return text if text and self._times.us(text) else None
        except WireError:
            fields.odd[name] = "unreadable text"
            return None


_READERS: dict[type[Struct], Any] = {
    m.DeltaFrame: Second.delta,
    m.SnapshotFrame: Second.snapshot,
    m.TradeFrame: Second.trade,
    m.TickerFrame: Second.ticker,
}


def _known(kind: type[Struct]) -> set[str]:
    """The fields that the `msg` of this type may have."""
    inner = m.inner(kind)
    return set(inner.__struct_fields__) if inner is not None else set()


def _message(thing: Object) -> Object:
    return object_of(thing.get("msg", UNUSED))


def _ticker(fields: Fields) -> str:
    ticker = fields.word("market_ticker")
    if not ticker:
        raise WireError(f"market_ticker: {_shown(fields.value('market_ticker'))}")
    return ticker


def _side(fields: Fields, side: str) -> list[m.Level] | None:
    """The levels of one side, of the first of its three names that has any."""
    for name in (f"{side}_dollars_fp", f"{side}_dollars", side):
        listed = fields.value(name)
        if listed is None or listed == []:
            continue
        if not isinstance(listed, list):
            raise WireError(f"{name}: {_shown(listed)}")
        return [_level(name, level, old=name == side, fields=fields) for level in listed]
    return None


def _level(name: str, level: object, *, old: bool, fields: Fields) -> m.Level:
    if not (isinstance(level, list) and len(level) == 2):
        raise WireError(f"{name}: {_shown(level)}")
    price, count = level
    if old:
        price_e4, count_e2 = _legacy(price), _legacy(count)
    else:
        price_e4, count_e2 = exact(_digits(price), 4), exact(_digits(count), 2)
        if type(price) is not str:
            fields.odd[name] = "numbers"
    if not (0 <= price_e4 < PRICE_LIMIT_E4 and 0 <= count_e2 < COUNT_LIMIT_E2):
        raise WireError(f"{name}: {_shown(level)}")
    return price_text(price_e4), count_text(count_e2)
