"""`python -m kalshi_trio replay SESSION`."""

from __future__ import annotations

import json
from typing import Any

import click

from kalshi_trio.cli_options import chosen, settings_options
from kalshi_trio.errors import UsageError
from kalshi_trio.history.times import parse


@click.command("replay")
@click.argument("session")
@click.option(
    "--speed", type=click.Choice(["1", "10", "max"]), default=None, help="how fast: max, for --serve 1, unless given"
)
@click.option("--from", "start", type=parse, metavar="TIME", help="begin there: ISO 8601 (UTC), or #RECORD")
@click.option("--to", "end", type=parse, metavar="TIME", help="end before that")
@click.option("--clock", type=click.Choice(["receive", "exchange"]), default="receive", help="whose time these are")
@click.option("--sink", "sinks", multiple=True, help="parquet=DIR, clickhouse=URL or clickhouse=DIR; repeatable")
@click.option("--serve", type=str, metavar="HOST:PORT", help="speak it over a websocket instead, to any Kalshi client")
@click.option("--json", "as_json", is_flag=True, help="for programs: rows and digests")
@settings_options
@click.pass_context
def command(context: click.Context, /, session: str, *, as_json: bool, **options: Any) -> None:
    """Tell SESSION (or a foreign recording FILE) once more, through the same builder, into sinks of your choice.

    Without a sink its rows are only made, and their digests compared with the recording's. --markets A,B tells of these
    markets alone.
    """
    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- help stays quick
    from kalshi_trio.history.replay.proof import lines, plain  # noqa: PLC0415 -- as above
    from kalshi_trio.history.replay.replaying import Wish, replay  # noqa: PLC0415 -- as above
    from kalshi_trio.history.serve.serving import address, serve  # noqa: PLC0415 -- as above

    named = {name: options.pop(name) for name in ("start", "end", "clock")}
    speed, sinks, serve_at = options.pop("speed"), options.pop("sinks"), options.pop("serve")
    settings, _ = chosen(context, options, ("markets",))
    wish = Wish(**named, markets=settings.markets, speed=_pace(speed or ("1" if serve_at else "max")))
    if serve_at is not None:
        if sinks:
            raise UsageError("--serve speaks to clients, --sink stores: choose one.")
        run(serve, settings, session, wish, address(serve_at))
        return
    done = run(replay, settings, session, wish, sinks)
    click.echo(json.dumps(plain(done), indent=1) if as_json else "\n".join(lines(done)))
    context.exit(0 if done.equal else 4)


def _pace(speed: str) -> float | None:
    return None if speed == "max" else float(speed)
