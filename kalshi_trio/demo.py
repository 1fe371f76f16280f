"""The demo: a simulated exchange on loopback, recorded through the ordinary pipeline."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio

from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.gate import Gate
from kalshi_trio.exchange.http import serve_http_tcp
from kalshi_trio.exchange.keys import make_key, private_pem
from kalshi_trio.exchange.player import Player
from kalshi_trio.exchange.recording import Recording as Recorded
from kalshi_trio.exchange.rest import ROOT, RestDesk
from kalshi_trio.exchange.server import Exchange, Show, serve_tcp
from kalshi_trio.exchange.shows import FloorShow
from kalshi_trio.foreign import read_lines
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.protocol.auth import Signer
from kalshi_trio.recording import Recording, record
from kalshi_trio.run import to_its_end
from kalshi_trio.settings import Settings
from kalshi_trio.transport.endpoint import Endpoint

MARKETS = (
    "KXDEMOBTC15M-26NOV241315-15",
    "KXDEMOFED-26DEC-T3.75",
    "KXDEMONBA-26NOV24AAABBB-AAA",
    "KXDEMORAIN-26NOV25-NYC",
)
KEY_ID = "demo-key"
SEED = 20261124
"""The same markets in every demo."""


async def demo(
    settings: Settings, *, speed: float | None = 1.0, recording: Path | None = None, console: Terminal | None = None
) -> Recording:
    """Records a simulated exchange with a key of its own; `speed` None plays as fast as the recorder takes it."""
    private = make_key("ed25519")
    signer = Signer(KEY_ID, private_pem(private), "the demo's key")
    if recording is not None:
        recorded = Recorded(read_lines(recording))
        markets = settings.markets or recorded.markets()
        show: Show = Player(recorded, speed)
    else:
        markets = settings.markets or MARKETS
        show = FloorShow(GeneratedFloor(markets, SEED, close_after=20.0), speed)
    gate = Gate({KEY_ID: private.public_key()})
    exchange, desk = Exchange(show, gate), RestDesk(show, gate)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve_tcp, exchange, "127.0.0.1", 0))
        rest = await nursery.start(partial(serve_http_tcp, desk.answer, "127.0.0.1", 0)) + ROOT
        chosen = settings.model_copy(update={"kalshi_ws_url": url, "kalshi_rest_url": rest, "markets": markets})
        sign = partial(signed, url, signer)
        done = await to_its_end(partial(record, chosen, sign, signer=signer, source="demo", console=console))
        nursery.cancel_scope.cancel(reason="the demo is over")
    return done


def signed(url: str, signer: Signer, now_ms: int) -> Endpoint:
    """The address with headers signed now."""
    path = Endpoint(url).path
    headers = tuple((name.encode(), value.encode()) for name, value in signer.headers("GET", path, now_ms))
    return Endpoint(url, headers)
