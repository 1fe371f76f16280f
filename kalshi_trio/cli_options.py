"""Flags for settings: every setting has one of its name, secrets excepted."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from kalshi_trio.settings import Settings, load, nearly_settings

Command = TypeVar("Command", bound=Callable[..., Any])
SECRETS = {"clickhouse_password"}
SHOWN_BY = ("record", "demo")
"""Commands whose help lists every setting; that of the others names the first of these instead."""
STANDS_FOR_ALL = "data_dir"


class Setting(click.Option):
    """A flag of a setting: all commands take it, and the help of a few explains it."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """See click: what the help says of it."""
        if ctx.info_name in SHOWN_BY:
            return super().get_help_record(ctx)
        if self.name == STANDS_FOR_ALL:
            return "--data-dir PATH, …", f"every setting has a flag: see `kalshi_trio {SHOWN_BY[0]} --help`"
        return None


def settings_options(command: Command) -> Command:
    """A flag for each setting."""
    for name, field in reversed(Settings.model_fields.items()):
        if name in SECRETS:
            continue
        flag, kind = f"--{name.replace('_', '-')}", _kind(field.annotation)
        if kind is bool:
            flags = f"{flag}/--no-{name.replace('_', '-')}"
            command = click.option(flags, cls=Setting, default=None, help=field.description)(command)
        elif name == "markets":
            said = f"{field.description}; repeatable"
            command = click.option(flag, cls=Setting, multiple=True, help=said)(command)
        else:
            command = click.option(flag, cls=Setting, type=kind, default=None, help=field.description)(command)
    return command


def _kind(annotation: Any) -> Any:
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    if isinstance(annotation, types.UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    return {Path: click.Path(path_type=Path)}.get(annotation, annotation if annotation in (bool, int, float) else str)


def chosen(
    context: click.Context, flags: dict[str, Any], ignore: tuple[str, ...] = ()
) -> tuple[Settings, dict[str, str]]:
    """Flags count before and behind the command's name."""
    before = context.parent.obj if context.parent is not None and context.parent.obj else {}
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    settings = load({**before, **given}, ignore=ignore)
    for line in nearly_settings():
        click.echo(f"WARNING  | {line}", err=True)
    return settings
