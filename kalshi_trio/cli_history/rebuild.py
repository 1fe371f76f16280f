"""`python -m kalshi_trio rebuild SESSION`."""

from __future__ import annotations

import click

from kalshi_trio.cli_options import chosen, settings_options


@click.command("rebuild")
@click.argument("session")
@click.option("--replace", is_flag=True, help="first remove the session's rows there, then store all anew")
@settings_options
@click.pass_context
def command(context: click.Context, /, session: str, *, replace: bool, **flags: object) -> None:
    """Store SESSION's rows in the configured sinks again: what each lacks of them."""
    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- help stays quick
    from kalshi_trio.history.proof import lines  # noqa: PLC0415 -- as above
    from kalshi_trio.history.rebuilding import rebuild  # noqa: PLC0415 -- as above

    settings, _ = chosen(context, flags)
    done = run(rebuild, settings, session, replace=replace)
    click.echo("\n".join(lines(done)))
    context.exit(0 if done.equal else 4)
