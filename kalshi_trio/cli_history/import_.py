"""`python -m kalshi_trio import FILE…`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kalshi_trio.cli_options import chosen, settings_options


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@settings_options
@click.option(
    "--time-unit",
    type=click.Choice(["s", "ms", "us", "ns", "none"]),
    help="unit of times of receipt whose keys name none; none: they are not times of receipt",
)
@click.option("--json", "as_json", is_flag=True, help="for programs: the session's manifest")
@click.pass_context
def command(
    context: click.Context, /, files: tuple[Path, ...], *, time_unit: str | None, as_json: bool, **flags: object
) -> None:
    """Make one session of foreign recordings.

    FILES hold JSON lines, plain, gz, zst, bz2 or xz: websocket frames, or envelopes with the time of receipt around
    them. Several files are one recording, in the order given.
    """
    from kalshi_trio.history.commands import plain, run  # noqa: PLC0415 -- help stays quick
    from kalshi_trio.history.imports.importing import import_files  # noqa: PLC0415 -- as above

    settings, _ = chosen(context, flags)
    manifest = run(import_files, settings, list(files), time_unit)
    if as_json:
        click.echo(json.dumps(plain(manifest), indent=1))
