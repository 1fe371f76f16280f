"""The exchange's frames as typed messages, in all field eras; what is unknown is told, never dropped.

Decoding is strict about fields, so that schema drift is seen on the day it happens: a field that no one has seen before
is reported to the census, learnt, and from then on costs nothing. Fields that we do not use are not looked at
(`msgspec.Raw`), so that a change of their type refuses no frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.census import UNUSED, Census

Sid = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Money = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Level = tuple[str, str | int]


class Delta(Struct, gc=False, forbid_unknown_fields=True):
    """One level of one market changed by a signed number of contracts."""

    market_ticker: str
    side: str
    price_dollars: str | None = None
    delta_fp: str | None = None
    ts: str | None = None
    ts_ms: int | None = None
    price: Money | None = None
    delta: Money | None = None
    market_id: Raw = UNUSED
    client_order_id: Raw = UNUSED
    subaccount: Raw = UNUSED


class Snapshot(Struct, forbid_unknown_fields=True):
    """The whole book of one market; an absent side is an empty one."""

    market_ticker: str
    yes_dollars_fp: list[Level] | None = None
    no_dollars_fp: list[Level] | None = None
    yes_dollars: list[Level] | None = None
    no_dollars: list[Level] | None = None
    yes: list[tuple[Money, Money]] | None = None
    no: list[tuple[Money, Money]] | None = None
    market_id: Raw = UNUSED


class Trade(Struct, gc=False, forbid_unknown_fields=True):
    """An execution; its contracts are in the deltas already."""

    market_ticker: str
    trade_id: str = ""
    yes_price_dollars: str | None = None
    no_price_dollars: str | None = None
    count_fp: str | None = None
    taker_side: str | None = None
    taker_outcome_side: str | None = None
    taker_book_side: Raw = UNUSED
    is_block_trade: bool = False
    ts: Money | None = None
    ts_ms: Money | None = None
    yes_price: Money | None = None
    no_price: Money | None = None
    count: Money | None = None


class Ticker(Struct, gc=False, forbid_unknown_fields=True):
    """Prices and volumes of one market, about once a second; it has no sequence number."""

    market_ticker: str
    price_dollars: str | None = None
    yes_bid_dollars: str | None = None
    yes_ask_dollars: str | None = None
    yes_bid_size_fp: str | None = None
    yes_ask_size_fp: str | None = None
    last_trade_size_fp: str | None = None
    volume_fp: str | None = None
    open_interest_fp: str | None = None
    dollar_volume: Money | None = None
    dollar_open_interest: Money | None = None
    ts: Money | None = None
    ts_ms: Money | None = None
    price: Money | None = None
    yes_bid: Money | None = None
    yes_ask: Money | None = None
    volume: Money | None = None
    open_interest: Money | None = None
    market_id: Raw = UNUSED
    time: Raw = UNUSED
    no_bid: Raw = UNUSED
    no_ask: Raw = UNUSED
    Clock: Raw = UNUSED
    no_bid_size_fp: Raw = UNUSED
    no_ask_size_fp: Raw = UNUSED


class _Frame(Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    sid: Sid = 0
    seq: Seq = 0
    id: int = 0


class DeltaFrame(_Frame, tag="orderbook_delta", gc=False):
    """`orderbook_delta`."""

    msg: Delta


class SnapshotFrame(_Frame, tag="orderbook_snapshot"):
    """`orderbook_snapshot`; it has an `id` only as the answer to get_snapshot."""

    msg: Snapshot


class TradeFrame(_Frame, tag="trade", gc=False):
    """`trade`."""

    msg: Trade


class TickerFrame(_Frame, tag="ticker", gc=False):
    """`ticker`."""

    msg: Ticker


class LifecycleFrame(_Frame, tag="market_lifecycle_v2", gc=False):
    """`market_lifecycle_v2`."""

    msg: Raw


class EventLifecycleFrame(_Frame, tag="event_lifecycle", gc=False):
    """`event_lifecycle`."""

    msg: Raw


class EventFeeFrame(_Frame, tag="event_fee_update", gc=False):
    """`event_fee_update`."""

    msg: Raw


class SubscribedFrame(_Frame, tag="subscribed"):
    """A channel was opened; `msg` has `channel` and `sid`."""

    msg: Raw = UNUSED


class OkFrame(_Frame, tag="ok"):
    """A command was carried out; takes a `seq` where it has a `sid`."""

    msg: Raw = UNUSED
    market_tickers: Raw = UNUSED


class UnsubscribedFrame(_Frame, tag="unsubscribed"):
    """A channel was closed; takes a `seq`."""

    msg: Raw = UNUSED


class ErrorFrame(_Frame, tag="error"):
    """A command failed, or (codes 10 and 25) a subscription died."""

    msg: Raw = UNUSED


Lifecycle = LifecycleFrame | EventLifecycleFrame | EventFeeFrame
Control = SubscribedFrame | OkFrame | UnsubscribedFrame | ErrorFrame
Frame = DeltaFrame | SnapshotFrame | TradeFrame | TickerFrame | Lifecycle | Control

TYPES: dict[str, type[Struct]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        *(DeltaFrame, SnapshotFrame, TradeFrame, TickerFrame, LifecycleFrame, EventLifecycleFrame, EventFeeFrame),
        *(SubscribedFrame, OkFrame, UnsubscribedFrame, ErrorFrame),
    )
}
"""Wire name of each type we know → its frame."""


class Unknown(Struct):
    """A frame of a type that we do not know: stored raw in the journal, counted, its `seq` respected."""

    type: str
    sid: int
    seq: int


class Decoder:
    """Frames → messages, with a census of what nobody has seen before."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._kinds = dict(TYPES)
        self._learn()

    def _learn(self) -> None:
        """Makes the strict decoder anew, with the fields that the census has learnt as unused ones."""
        for name, kind in TYPES.items():
            inner = {f.name: f.type for f in msgspec.structs.fields(kind)}.get("msg")
            outer_new = self._census.fields_of(f"{name}.")
            inner_new = self._census.fields_of(name)
            made: Any = kind
            if inner_new and isinstance(inner, type) and issubclass(inner, Struct):
                made = _with(made, [("msg", _with(inner, [(new, Raw, UNUSED) for new in inner_new]))])
            if outer_new:
                made = _with(made, [(new, Raw, UNUSED) for new in outer_new])
            self._kinds[name] = made
        union: Any = None
        for kind in self._kinds.values():
            union = kind if union is None else union | kind
        self._decoder = msgspec.json.Decoder(union)
        self.decode: Callable[[bytes], Frame] = self._counted if self._census.fields else self._decoder.decode

    def _counted(self, data: bytes) -> Frame:
        """As the plain decoder, once there are learnt fields to count."""
        message: Frame = self._decoder.decode(data)
        self._census.seen(str(message.__struct_config__.tag), message)
        return message

    def odd(self, data: bytes) -> Any:
        """What `decode` refused: the same frame with its new fields learnt, an `Unknown`, or WireError."""
        thing = _json(data)
        name = thing.get("type")
        if not isinstance(name, str):
            raise WireError("no type")
        kind = TYPES.get(name)
        if kind is None:
            self._census.type(name)
            return Unknown(name[:100], _whole(thing.get("sid"), 2**32), _whole(thing.get("seq"), 2**63))
        inner = {f.name: f.type for f in msgspec.structs.fields(kind)}.get("msg")
        new = self._census.field(f"{name}.", set(thing) - set(kind.__struct_fields__) - {"type"})
        if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(thing.get("msg"), dict):
            new |= self._census.field(name, set(thing["msg"]) - set(inner.__struct_fields__))
        if new:
            self._learn()
        try:
            return self.decode(data)
        except msgspec.DecodeError as error:
            raise WireError(str(error)) from error


def _with(kind: type[Struct], fields: list[Any]) -> Any:
    return msgspec.defstruct(
        kind.__name__, fields, bases=(kind,), kw_only=True, tag=kind.__struct_config__.tag, forbid_unknown_fields=True
    )


def _json(data: bytes) -> dict[str, Any]:
    try:
        thing = msgspec.json.decode(data.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(str(error)) from error
    if not isinstance(thing, dict):
        raise WireError("not a JSON object")
    return thing


def _whole(value: object, limit: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit else 0
