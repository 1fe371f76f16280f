"""What the commands do, once their settings are known: one Trio run each, an exit code out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
from rich.console import Console

from kalshi_trio.demo import demo, signed
from kalshi_trio.observe.queries import ask_clickhouse, ask_parquet, show
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.recording import Recording, record, short
from kalshi_trio.run import leave_at_once, run_trio, to_its_end
from kalshi_trio.session import keep_signals
from kalshi_trio.settings import Settings
from kalshi_trio.sinks.clickhouse import Embedded
from kalshi_trio.transport.key import exposed, load_signer


def run_record(settings: Settings) -> int:
    """Records until a signal or a limit; 130 after a second Ctrl-C."""
    keep_signals()
    path = settings.kalshi_private_key_path
    if path is None:
        raise AssertionError("cli asks for the key first")
    signer = load_signer(settings.kalshi_api_key_id, path)
    if warning := exposed(path):
        click.echo(f"WARNING  | {warning}", err=True)
    sign = partial(signed, settings.ws_url, signer)
    recording = partial(record, settings, sign, signer=signer, console=Terminal())
    return _code(run_trio(partial(to_its_end, recording)))


def run_demo(settings: Settings, speed: str, recording: Path | None) -> int:
    """Records the simulated exchange and shows what was stored."""
    keep_signals()
    pace = None if speed == "max" else float(speed)
    done = run_trio(partial(demo, settings, speed=pace, recording=recording, console=Terminal()))
    leave_at_once()
    if done.stats.builder.deltas and not done.interrupted:
        _ask(done)
    return _code(done)


def _ask(done: Recording) -> None:
    """A few questions to sinks that hold all of it, with the words in which anybody can ask them again."""
    settings, session = done.settings, done.name.session
    answers = []
    if settings.parquet and done.stats.sinks["Parquet"].state == "closed":
        answers = ask_parquet(Path(short(settings.parquet_folder)), session)
    held = done.stats.sinks.get("ClickHouse")
    if held is not None and held.state == "closed" and not settings.clickhouse_url:
        place = Embedded(settings.data_dir / "clickhouse")
        try:
            answers += ask_clickhouse(place.connect(), settings.clickhouse_database, session)
        finally:
            place.close()
    show(answers, Console())


def _code(recording: Recording) -> int:
    """130 after a second Ctrl-C; 3 where a limit ended it before there was anything to record, and not a signal."""
    if recording.interrupted:
        return 130
    return 3 if recording.limited and recording.verdict == "nothing recorded" else 0
