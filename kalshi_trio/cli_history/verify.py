"""`python -m kalshi_trio verify SESSION|DIR`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kalshi_trio.cli_options import chosen, settings_options


@click.command("verify")
@click.argument("session", default="latest")
@settings_options
@click.option("--json", "as_json", is_flag=True, help="for programs: all that was found")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="draw the coverage: .svg or .png")
@click.pass_context
def command(context: click.Context, /, session: str, *, as_json: bool, picture: Path | None, **flags: object) -> None:
    """Hold SESSION, or all sessions of a data folder, against its journal: exit code 0 clean, 3 known gaps, 4 damage."""
    import msgspec  # noqa: PLC0415 -- help stays quick
    from rich.console import Console  # noqa: PLC0415 -- as above

    from kalshi_trio.history.commands import run  # noqa: PLC0415 -- as above
    from kalshi_trio.history.verify.picture import check_name, draw  # noqa: PLC0415 -- as above
    from kalshi_trio.history.verify.verifying import verify  # noqa: PLC0415 -- as above
    from kalshi_trio.history.verify.view import show  # noqa: PLC0415 -- as above

    settings, _ = chosen(context, flags)
    if picture is not None:
        check_name(picture)
    report = run(verify, settings, session)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report), indent=1))
    else:
        show(report, Console())
    if picture is not None:
        draw(report.sessions, picture)
    context.exit(report.exit_code)
