"""`python -m kalshi_trio diff A B`."""

from __future__ import annotations

import json

import click

from kalshi_trio.cli_options import chosen, settings_options

DIFFERENT = 5
"""The exit code of sessions that are not the same."""


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option("--json", "as_json", is_flag=True, help="for programs: all that was found")
@settings_options
@click.pass_context
def command(context: click.Context, /, a: str, b: str, *, as_json: bool, **flags: object) -> None:
    """Hold two sessions of the same markets against each other: exit code 0 the same, 5 different.

    What counts is the time and the markets that both recorded: changes of books by market, side, price, size and the
    exchange's time, trades by their ids, and whole books after each instant.
    """
    import msgspec  # noqa: PLC0415 -- help stays quick
    from rich.console import Console  # noqa: PLC0415 -- as above

    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- as above
    from kalshi_trio.history.diff.diffing import diff  # noqa: PLC0415 -- as above
    from kalshi_trio.history.diff.view import show  # noqa: PLC0415 -- as above

    settings, _ = chosen(context, flags)
    found = run(diff, settings, a, b)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=1))
    else:
        show(found, Console())
    context.exit(0 if found.same else DIFFERENT)
