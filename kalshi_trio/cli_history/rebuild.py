"""`python -m kalshi_trio rebuild SESSION`."""

from __future__ import annotations

import json

import click

from kalshi_trio.cli_options import chosen, settings_options


@click.command("rebuild")
@click.argument("session")
@click.option("--replace", is_flag=True, help="first remove the session's rows there, then store all anew")
@click.option("--json", "as_json", is_flag=True, help="for programs: rows and digests")
@settings_options
@click.pass_context
def command(context: click.Context, /, session: str, *, replace: bool, as_json: bool, **flags: object) -> None:
    """Store SESSION's rows in the configured sinks: those behind the last that each holds.

    Where rows before that are missing or wrong, as `verify` tells, --replace stores all of them anew.
    """
    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- help stays quick
    from kalshi_trio.history.replay.proof import lines, plain  # noqa: PLC0415 -- as above
    from kalshi_trio.history.replay.rebuilding import rebuild  # noqa: PLC0415 -- as above

    settings, _ = chosen(context, flags)
    done = run(rebuild, settings, session, replace=replace)
    click.echo(json.dumps(plain(done), indent=1) if as_json else "\n".join(lines(done)))
    context.exit(0 if done.equal else 4)
