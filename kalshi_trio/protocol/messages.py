"""The exchange's frames as typed messages, in all field eras.

Every field that was ever seen is named, so that a new one is noticed. Those that we do not use are not looked at
(`msgspec.Raw`): a change of their type refuses no frame.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, structs

from kalshi_trio.protocol.census import UNUSED

SID_LIMIT = 2**32
SEQ_LIMIT = 2**62
Sid = Annotated[int, Meta(ge=0, lt=SID_LIMIT)]
Seq = Annotated[int, Meta(ge=0, lt=SEQ_LIMIT)]
Money = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Level = tuple[str, str | int]
Side = Literal["yes", "no"]


class Delta(Struct, gc=False, forbid_unknown_fields=True):
    """One level of one market changed by a signed number of contracts."""

    market_ticker: str
    side: Side
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
    is_block_trade: bool | None = None
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
    sending_ts_ms: Raw = UNUSED
    """When the exchange queued the message (since 2026-10); no row has it."""


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


class MultivariateFrame(_Frame, tag="multivariate_market_lifecycle", gc=False):
    """`multivariate_market_lifecycle`: of combos, on a channel of their own."""

    msg: Raw


class MetadataFrame(_Frame, tag="metadata_updated", gc=False):
    """`metadata_updated`, where it is a type and not an event of `market_lifecycle_v2`."""

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


class Unknown(Struct, gc=False):
    """A frame of a type that we do not know: stored raw in the journal, counted, its `seq` respected."""

    type: str
    sid: int
    seq: int


class OtherLifecycle(Unknown, gc=False):
    """A frame of a type that we do not know, whose name says that it is about the lives of markets or events."""

    msg: Raw


class Unfit(Unknown, gc=False):
    """A frame of a known type that is not as it should be; `market` is empty where it names none."""

    market: str
    why: str


Lifecycle = LifecycleFrame | MultivariateFrame | MetadataFrame | EventLifecycleFrame | EventFeeFrame
Control = SubscribedFrame | OkFrame | UnsubscribedFrame | ErrorFrame
Frame = DeltaFrame | SnapshotFrame | TradeFrame | TickerFrame | Lifecycle | Control

LIFECYCLE = (LifecycleFrame, MultivariateFrame, MetadataFrame, EventLifecycleFrame, EventFeeFrame)
TYPES: dict[str, type[Struct]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        *(DeltaFrame, SnapshotFrame, TradeFrame, TickerFrame, *LIFECYCLE),
        *(SubscribedFrame, OkFrame, UnsubscribedFrame, ErrorFrame),
    )
}
"""Wire name of each type we know → its frame."""


def inner(kind: type[Struct]) -> type[Struct] | None:
    """The structure of a frame's `msg`, unless it is left raw."""
    found = next(field.type for field in structs.fields(kind) if field.name == "msg")
    return found if isinstance(found, type) and issubclass(found, Struct) else None
