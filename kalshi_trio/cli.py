"""The command line: settings in, exit code out. Every setting has a flag of its name, secrets excepted."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from kalshi_trio import __version__
from kalshi_trio.cli_history import COMMANDS
from kalshi_trio.cli_options import chosen, settings_options
from kalshi_trio.errors import ConfigError, Stopped, UserError
from kalshi_trio.observe.health import examine, manner

FLAG_ONLY_IN_DEMO = (
    "clickhouse_url",
    "clickhouse_user",
    "clickhouse_password",
    "parquet_dir",
    "kalshi_ws_url",
    "kalshi_rest_url",
    "markets",
)
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
NO_KEY = """\
No API key: set KALSHI_API_KEY_ID to the key's id (Kalshi, account, API keys; scope read is enough),
set KALSHI_PRIVATE_KEY_PATH to the file with its private key, and MARKETS to the markets to record;
or try `python -m kalshi_trio demo`, which needs nothing."""


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """See click, which would say an empty line of a Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped("Stopped by SIGINT.") from None


@click.group(cls=_Group, invoke_without_command=True, context_settings=HELP)
@click.version_option(__version__, prog_name="kalshi_trio")
@settings_options
@click.pass_context
def cli(context: click.Context, /, **flags: object) -> None:
    """Records Kalshi's websocket feed. Without a command: record."""
    context.obj = flags
    if context.invoked_subcommand is None:
        context.invoke(record, **flags)


@cli.command()
@settings_options
@click.pass_context
def record(context: click.Context, /, **flags: object) -> None:
    """Record the markets in MARKETS.

    Until Ctrl-C, SIGTERM, --seconds or --frames. Needs KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH (`demo` needs
    nothing). Settings come from flags, the environment, .env, kalshi_trio.toml: `config` shows them.
    """
    settings, _ = chosen(context, flags)
    if not (settings.kalshi_api_key_id and settings.kalshi_private_key_path):
        raise ConfigError(NO_KEY)
    if not settings.markets:
        raise ConfigError("MARKETS is empty: name the markets to record, e.g. MARKETS=KXFED-26DEC-T3.75")
    from kalshi_trio.commands import run_record  # noqa: PLC0415 -- help and config stay quick

    context.exit(run_record(settings))


@cli.command()
@settings_options
@click.option("--speed", type=click.Choice(["1", "10", "max"]), default="1", help="how fast the exchange plays")
@click.option("--recording", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="play this recording")
@click.pass_context
def demo(context: click.Context, /, speed: str, recording: Path | None, **flags: object) -> None:
    """Record a simulated exchange: no key, no server.

    For 30 seconds unless told otherwise, into data/demo; ends with a few questions to what was stored.
    """
    settings, origin = chosen(context, flags, FLAG_ONLY_IN_DEMO)
    update: dict[str, object] = {}
    if origin["data_dir"] == "default":
        update["data_dir"] = Path("data/demo")
    if settings.seconds is None and settings.frames is None:
        update["seconds"] = 30.0
    from kalshi_trio.commands import run_demo  # noqa: PLC0415 -- as above

    context.exit(run_demo(settings.model_copy(update=update), speed, recording))


@cli.command()
@settings_options
@click.option("--json", "as_json", is_flag=True, help="for programs")
@click.pass_context
def config(context: click.Context, /, *, as_json: bool, **flags: object) -> None:
    """Show the settings in force and where each came from, secrets masked."""
    settings, origin = chosen(context, flags)
    shown = settings.in_force()
    if as_json:
        click.echo(
            json.dumps({name: {"value": value, "from": origin[name]} for name, value in shown.items()}, indent=1)
        )
        return
    from rich.console import Console  # noqa: PLC0415 -- as above

    from kalshi_trio.observe.settings_view import show_settings  # noqa: PLC0415 -- as above

    show_settings(shown, origin, Console())


@cli.command()
@settings_options
@click.option("--json", "as_json", is_flag=True, help="for programs")
@click.pass_context
def health(context: click.Context, /, *, as_json: bool, **flags: object) -> None:
    """Say whether the running recorder is well, and why not (exit code 1)."""
    settings, _ = chosen(context, flags)
    status, wrong = examine(settings.data_dir, time.time_ns())
    if as_json:
        click.echo(json.dumps({"well": not wrong, "wrong": wrong, "status": status}, indent=1))
    elif status is not None and not wrong:
        click.echo(f"well: {manner(status)}")
    else:
        click.echo("\n".join(f"not well: {text}" for text in wrong))
    context.exit(1 if wrong else 0)


for command in COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and ends the process with its exit code; a user's mistake is text, never a traceback."""
    try:
        # Without "standalone mode" click hands the code of `context.exit` over instead of ending the process.
        sys.exit(cli.main(args=arguments, prog_name="kalshi_trio", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except UserError as error:
        click.echo(f"error: {error}" if error.args[0] != NO_KEY else NO_KEY, err=True)
        sys.exit(error.exit_code)
