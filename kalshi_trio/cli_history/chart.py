"""`python -m kalshi_trio chart MARKET --from TIME --to TIME --out FILE.png`."""

from __future__ import annotations

from pathlib import Path

import click

from kalshi_trio.cli_options import chosen, settings_options

TIME = "ISO 8601 (UTC unless it says otherwise) or #FRAME"


@click.command("chart")
@click.argument("market")
@click.option("--from", "start", metavar="TIME", help=f"{TIME}; default: the session's start")
@click.option("--to", "end", metavar="TIME", help="the same, not included; default: the session's end")
@click.option("--clock", type=click.Choice(["receive", "exchange"]), default="receive", help="whose times these are")
@click.option("--session", default="latest", help="name, id or folder of a session; default: the latest")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="FILE.png or FILE.svg")
@settings_options
@click.pass_context
def command(
    context: click.Context,
    /,
    market: str,
    start: str | None,
    end: str | None,
    clock: str,
    session: str,
    out: Path,
    **flags: object,
) -> None:
    """Draw MARKET's best prices, trades, resting sizes and holes over time."""
    from kalshi_trio.history.charts.charting import draw  # noqa: PLC0415 -- help stays quick
    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- as above
    from kalshi_trio.history.times import parse  # noqa: PLC0415 -- as above

    settings, _ = chosen(context, flags)
    points = (parse(start) if start else None, parse(end) if end else None)
    run(draw, settings, market, points, session, "exchange" if clock == "exchange" else "receive", out)
    click.echo(f"{out}")
