"""`python -m kalshi_trio book MARKET --at TIME`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kalshi_trio.cli_options import chosen, settings_options


@click.command("book")
@click.argument("market")
@click.option("--at", "at", metavar="TIME", help="ISO 8601 (UTC unless it says otherwise) or #FRAME; default: the end")
@click.option("--clock", type=click.Choice(["receive", "exchange"]), default="receive", help="whose time --at means")
@click.option("--session", default="latest", help="name, id or folder of a session; default: the latest")
@click.option("--depth", type=click.IntRange(1), help="so many levels a side; default: all")
@click.option("--json", "as_json", is_flag=True, help="for programs: exact decimals as texts")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="draw a depth chart: FILE.png or .svg")
@settings_options
@click.pass_context
def command(  # noqa: PLR0913  its options
    context: click.Context,
    /,
    market: str,
    at: str | None,
    clock: str,
    session: str,
    depth: int | None,
    *,
    as_json: bool,
    picture: Path | None,
    **flags: object,
) -> None:
    """Show MARKET's order book at any instant of a session, exact, and whether it was continuous then."""
    from kalshi_trio.history.book.asking import ask_book  # noqa: PLC0415 -- help stays quick
    from kalshi_trio.history.book.ladder import ladder, plain  # noqa: PLC0415 -- as above
    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- as above
    from kalshi_trio.history.times import parse  # noqa: PLC0415 -- as above

    settings, _ = chosen(context, flags)
    book = run(
        ask_book, settings, market, parse(at) if at else None, session, "exchange" if clock == "exchange" else "receive"
    )
    if picture:
        from kalshi_trio.history.book.depth_chart import draw_depth  # noqa: PLC0415 -- matplotlib takes its time

        draw_depth(book, picture, depth)
    if as_json:
        click.echo(json.dumps(plain(book, depth), indent=1))
    elif picture:
        click.echo(f"{picture}")
    else:
        from rich.console import Console  # noqa: PLC0415 -- as above

        Console().print(ladder(book, depth))
