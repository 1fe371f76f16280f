"""The simulated exchange as a process of its own: for developing clients, and for measuring them."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import trio

from kalshi_trio.errors import UsageError, UserError, first_of
from kalshi_trio.exchange.faults import NAMES, Faults, Name
from kalshi_trio.exchange.floor import MOODS, STEADY, GeneratedFloor
from kalshi_trio.exchange.gate import Gate
from kalshi_trio.exchange.http import serve_http_tcp
from kalshi_trio.exchange.keys import KINDS, KeyKind, make_key, private_pem
from kalshi_trio.exchange.lies import Lies
from kalshi_trio.exchange.player import Player
from kalshi_trio.exchange.prebuilt import PrebuiltShow, prebuild
from kalshi_trio.exchange.recording import Recording
from kalshi_trio.exchange.rest import ROOT, RestDesk
from kalshi_trio.exchange.server import Exchange, Outage, Show, serve_tcp
from kalshi_trio.exchange.shows import FloorShow
from kalshi_trio.foreign import read_lines
from kalshi_trio.protocol.auth import PrivateKey

KEY_ID = "simulated-key"
MARKETS = "KXSIMBTC15M-26NOV241315-15,KXSIMFED-26DEC-T3.75"


def _outage(_context: click.Context, _option: click.Parameter, value: str | None) -> Outage | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)@(\d+(?:\.\d+)?)", value or "0@0")
    if found is None:
        raise click.BadParameter(f"{value!r} is not like 30@10: for 30 seconds, from the 10th on")
    return Outage(float(found[1]), float(found[2])) if value else None


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", help="address to listen on")
@click.option("--port", default=8765, help="port to listen on; 0 takes a free one")
@click.option("--rest-port", default=0, help="port for REST; 0 takes a free one")
@click.option("--key", type=click.Choice(KINDS), default="rsa", help="the kind of the key that it makes for you")
@click.option("--refuse-for", metavar="SECONDS@AFTER", callback=_outage, help="refuse the key after it was good once")
@click.option("--lie", type=click.IntRange(1), help="every so many books that REST shows are wrong in one level")
@click.option("--markets", default=MARKETS, help="generated markets, comma-separated")
@click.option("--seed", default=1, help="the same seed makes the same markets")
@click.option("--rate", default=70.0, help="mean changes a second over all markets")
@click.option("--steady", is_flag=True, help="always that busy, without bursts and quiet spells")
@click.option("--speed", type=click.Choice(["1", "10", "max"]), default="1", help="how fast time goes")
@click.option("--recording", type=click.Path(path_type=Path, dir_okay=False), help="play this file instead")
@click.option("--prebuilt", is_flag=True, help="frames made beforehand, sent as fast as they are taken")
@click.option("--frames", default=100_000, help="how many frames to prebuild")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME@FRAME", help=f"frames that come to harm: {', '.join(NAMES)}"
)
def main(host: str, port: int, rest_port: int, faults: tuple[str, ...], **options: Any) -> None:
    """Serve a simulated Kalshi on loopback; needs no key of yours, prints what to set instead."""
    tickers = [ticker.strip() for ticker in options["markets"].split(",") if ticker.strip()]
    if not tickers:
        raise click.UsageError("--markets is empty: name at least one market")
    try:
        show = chosen_show(tickers, **options)
        lies = Lies(options["lie"]) if options["lie"] else None
        behaviour = Behaviour(options["key"], lies, options["refuse_for"], schedule(faults))
        trio.run(serve, show, host, (port, rest_port), ",".join(tickers), behaviour)
    except* UserError as group:
        error = first_of(group)
        click.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from None


def chosen_show(
    tickers: list[str],
    *,
    seed: int,
    rate: float,
    speed: str,
    recording: Path | None,
    prebuilt: bool,
    frames: int,
    **more: object,
) -> Show:
    """What the options ask for; UsageError for a file that is no recording."""
    pace = None if speed == "max" else float(speed)
    if prebuilt:
        return PrebuiltShow(prebuild(tickers, frames, seed=seed, start_us=time.time_ns() // 1000))
    if recording is not None:
        return Player(Recording(read_lines(recording)), pace)
    return FloorShow(GeneratedFloor(tickers, seed, rate, moods=STEADY if more.get("steady") else MOODS), pace)


def schedule(faults: tuple[str, ...]) -> Faults | None:
    """Faults by the frame that they fall on; UsageError for one that nobody knows."""
    found: dict[int, Name] = {}
    for fault in faults:
        named, _, at = fault.partition("@")
        name = next((known for known in NAMES if known == named), None)
        if name is None or not (at.isascii() and at.isdigit()):
            raise UsageError(f"--fault {fault}: NAME@FRAME is wanted, NAME one of {', '.join(NAMES)}")
        found[int(at)] = name
    return Faults(found) if found else None


class Behaviour(NamedTuple):
    """What the options ask of the exchange beside what it shows."""

    kind: KeyKind
    lies: Lies | None
    outage: Outage | None
    faults: Faults | None


async def serve(show: Show, host: str, ports: tuple[int, int], markets: str, behaviour: Behaviour) -> None:
    """Until a signal comes, with a key made for this run; its file (mode 600) goes when the run ends.

    `ports`: the websocket's and REST's.
    """
    kind, lies, outage, faults = behaviour
    key = make_key(kind)
    with tempfile.TemporaryDirectory(prefix="simulated-exchange-") as folder:
        path = write_key(key, Path(folder))
        gate = Gate({KEY_ID: key.public_key()})
        exchange, desk = Exchange(show, gate, faults, outage=outage), RestDesk(show, gate, lies)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                url = await nursery.start(partial(serve_tcp, exchange, host, ports[0]))
                rest = await nursery.start(partial(serve_http_tcp, desk.answer, host, ports[1])) + ROOT
                settings = {"WS_URL": url, "REST_URL": rest, "API_KEY_ID": KEY_ID, "PRIVATE_KEY_PATH": path}
                for name, value in settings.items():
                    click.echo(f"export KALSHI_{name}={value}")
                click.echo(f"export MARKETS={markets}")
                await anext(signals)
                nursery.cancel_scope.cancel(reason="a signal")


def write_key(key: PrivateKey, folder: Path) -> Path:
    """The private key's file, readable by its owner alone."""
    path = folder / "key.pem"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private_pem(key))
    return path


if __name__ == "__main__":
    main()
