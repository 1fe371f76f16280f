"""`python -m kalshi_trio rebuild SESSION`."""

from __future__ import annotations

import click

from kalshi_trio.cli_options import chosen, settings_options


@click.command("rebuild")
@click.argument("session")
@settings_options
@click.pass_context
def command(context: click.Context, /, session: str, **flags: object) -> None:
    """Store SESSION's rows in the configured sinks again: what each lacks of them."""
    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- help stays quick
    from kalshi_trio.history.rebuilding import rebuild  # noqa: PLC0415 -- as above

    settings, _ = chosen(context, flags)
    run(rebuild, settings, session)
