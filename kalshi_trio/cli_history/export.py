"""`python -m kalshi_trio export SESSION --format FORMAT --out PATH`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kalshi_trio.cli_options import chosen, settings_options
from kalshi_trio.history.times import parse

FORMATS = ("frames", "envelopes", "csv", "hftbacktest", "nautilus")


@click.command("export")
@click.argument("session")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="what to write")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="a file, or a folder; .gz and .zst pack")
@click.option("--table", help="csv: the table that a single file is of, or the only one of a folder")
@click.option("--from", "start", type=parse, metavar="TIME", help="begin there: ISO 8601 (UTC), or #RECORD")
@click.option("--to", "end", type=parse, metavar="TIME", help="end before that")
@click.option("--clock", type=click.Choice(["receive", "exchange"]), default="receive", help="whose time these are")
@click.option("--json", "as_json", is_flag=True, help="for programs")
@settings_options
@click.pass_context
def command(context: click.Context, /, session: str, *, as_json: bool, **options: Any) -> None:
    """Write SESSION (or a foreign recording FILE) as other tools read it.

    frames: the websocket's texts, a line each. envelopes: the same with times of receipt and connections. csv: tables.
    hftbacktest: an npz a market. nautilus: a catalog of order book deltas and trades. --markets A,B writes these alone.
    """
    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- help stays quick
    from kalshi_trio.history.exports.exporting import export  # noqa: PLC0415 -- as above
    from kalshi_trio.history.replay.replaying import Wish  # noqa: PLC0415 -- as above

    named = {name: options.pop(name) for name in ("start", "end", "clock")}
    form, out, table = (options.pop(name) for name in ("form", "out", "table"))
    settings, _ = chosen(context, options, ("markets",))
    done = run(export, settings, session, Wish(**named, markets=settings.markets), form, out, table)
    if as_json:
        click.echo(json.dumps(done._asdict(), indent=1))
        return
    click.echo(f"{done.out}: {done.written:,} {done.unit} of {done.session} ({done.format})")
    for note in done.notes:
        click.echo(f"  {note}")
