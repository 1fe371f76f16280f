"""A client's command, read strictly: what does not fit is refused by the exchange's own code."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Refused(Exception):
    """The command cannot be done: the error's code and the command's id."""

    def __init__(self, code: int, number: int) -> None:
        super().__init__(code, number)
        self.code = code
        self.number = number


class Params(Struct):
    """All parameters that market data needs."""

    channels: list[str] = []
    market_ticker: str = ""
    market_tickers: list[str] = []
    sid: int | None = None
    sids: list[int] = []
    action: str = ""
    use_yes_price: bool = False
    skip_ticker_ack: bool = False


class Command:
    """One command; `number` 0 means that it has no id."""

    def __init__(self, number: int, name: str, params: Params) -> None:
        self.number = number
        self.name = name
        self.channels, self.action = params.channels, params.action
        self.tickers = list(dict.fromkeys([params.market_ticker] * bool(params.market_ticker) + params.market_tickers))
        self.sids = ([params.sid] if params.sid is not None else []) + params.sids
        self.use_yes_price, self.skip_ticker_ack = params.use_yes_price, params.skip_ticker_ack


class _Envelope(Struct):
    cmd: Any = ""
    id: int = 0
    params: msgspec.Raw = msgspec.Raw(b"{}")


def parse(text: str | bytes) -> Command:
    """Refused with 1 for what is no command, 11 for parameters of a wrong type."""
    try:
        envelope = msgspec.json.decode(text, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(1, 0) from None
    try:
        params = msgspec.json.decode(envelope.params, type=Params | None) or Params()
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(11, envelope.id) from None
    return Command(envelope.id, str(envelope.cmd), params)
