"""Settings: flags, then environment, then `.env`, then `kalshi_trio.toml`, then defaults; each knows where it came from.

One frozen object, read by pydantic-settings. A mistake is a ConfigError that names the setting, its source and what to do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from kalshi_trio.errors import ConfigError
from kalshi_trio.protocol.names import shown_id

TOML = "kalshi_trio.toml"
MASK = "********"
NEARLY = 0.85
"""How alike a name is to a setting's that it stands for (difflib's ratio): KALSHI_PRIVATE_KEY is, LOG_LEVEL is not."""
HOSTS = {
    "prod": ("wss://external-api-ws.kalshi.com/trade-api/ws/v2", "https://external-api.kalshi.com/trade-api/v2"),
    "demo": (
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
        "https://external-api.demo.kalshi.co/trade-api/v2",
    ),
}
"""Kalshi's recommended addresses since 2026-05-07."""


class Settings(BaseSettings):
    """What the recorder goes by."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_file=".env", case_sensitive=False, env_ignore_empty=True
    )

    markets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="markets to record, comma-separated", validation_alias=AliasChoices("markets", "market_tickers")
    )
    data_dir: Path = Field(Path("data"), description="where the journal and the sinks' files go")
    log_dir: Path = Field(Path("logs"), description="where the log files go")
    kalshi_env: Literal["prod", "demo"] = Field("prod", description="which of Kalshi's exchanges")
    kalshi_ws_url: str = Field("", description="websocket address, instead of KALSHI_ENV's")
    kalshi_rest_url: str = Field("", description="REST address, instead of KALSHI_ENV's")
    kalshi_api_key_id: str = Field("", description="id of your API key")
    kalshi_private_key_path: Path | None = Field(None, description="file with its private key (RSA or Ed25519, PEM)")
    allow_cleartext: bool = Field(default=False, description="let ws:// and signed http:// leave this machine")
    transport: Literal["tap", "plain"] = Field("tap", description="frame tap, or plain trio-websocket")
    clickhouse: bool = Field(default=True, description="store rows in ClickHouse")
    clickhouse_url: str = Field("", description="ClickHouse server; empty: embedded, in DATA_DIR/clickhouse")
    clickhouse_user: str = Field("", description="its user")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="its password")
    clickhouse_database: str = Field("kalshi", description="its database")
    clickhouse_cluster: str = Field("", description="its cluster, where CLICKHOUSE_URL stands for several replicas")
    parquet: bool = Field(default=True, description="store rows as Parquet")
    parquet_dir: Path | None = Field(None, description="where Parquet goes; DATA_DIR/parquet unless given")
    batch_rows: int = Field(50_000, ge=1, le=100_000, description="rows of a table that are written at once")
    batch_flush_secs: float = Field(2.0, gt=0, description="age at which rows go to ClickHouse")
    parquet_flush_secs: float = Field(60.0, gt=0, description="age at which rows go to Parquet")
    audit: int = Field(0, ge=0, le=6000, description="markets a minute whose books are compared with REST; 0: none")
    seconds: float | None = Field(None, gt=0, description="end the recording after so many seconds")
    frames: int | None = Field(None, ge=1, description="end it after so many data frames")
    journal_fsync_ms: int = Field(50, ge=1, le=10_000, description="least time between two fsyncs of the journal")
    journal_segment_records: int = Field(1_000_000, ge=1_000, description="records after which a segment closes")
    journal_segment_minutes: float = Field(15.0, gt=0, description="minutes after which a segment closes")

    @field_validator("markets", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple):
            return value
        split = [part.strip() for text in texts for part in str(text).split(",")]
        return tuple(dict.fromkeys(part for part in split if part))

    @field_validator("markets")
    @classmethod
    def _tickers(cls, markets: tuple[str, ...]) -> tuple[str, ...]:
        for ticker in markets:
            if not (ticker.isascii() and ticker.isprintable() and len(ticker) <= 200 and " " not in ticker):
                raise ValueError(f"{ticker[:60]!r} is no market ticker")
        return markets

    @field_validator("data_dir", "log_dir", "parquet_dir", "kalshi_private_key_path")
    @classmethod
    def _expanded(cls, path: Path | None) -> Path | None:
        if path is None:
            return None
        return Path(os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111  pathlib's raises for unknown users

    @field_validator("clickhouse_database", "clickhouse_cluster")
    @classmethod
    def _plain(cls, name: str, info: ValidationInfo) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and (name or info.field_name == "clickhouse_database"):
            raise ValueError("use letters, digits and _, and no digit first")
        return name

    @field_validator("kalshi_ws_url", "kalshi_rest_url")
    @classmethod
    def _address(cls, url: str, info: ValidationInfo) -> str:
        parts, (plain, secure) = (
            urlsplit(url),
            ("ws", "wss") if info.field_name == "kalshi_ws_url" else ("http", "https"),
        )
        if url and not (parts.scheme in (plain, secure) and parts.hostname and url.isascii() and url.isprintable()):
            raise ValueError(f"write {secure}://host[:port]/path, or {plain}:// for an exchange on this machine")
        return url

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: object, **__: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Its arguments alone: `load` has asked the sources, since it remembers which one answered."""
        del settings_cls
        return (init_settings,)

    @property
    def ws_url(self) -> str:
        """The websocket address in force."""
        return self.kalshi_ws_url or HOSTS[self.kalshi_env][0]

    @property
    def rest_url(self) -> str:
        """The REST address in force."""
        return self.kalshi_rest_url or HOSTS[self.kalshi_env][1]

    @property
    def parquet_folder(self) -> Path:
        """Where Parquet goes."""
        return self.parquet_dir or self.data_dir / "parquet"

    def anchored(self) -> Settings:
        """The same with absolute folders.

        The embedded engine changes the process's folder for a moment while it opens (seen with strace), and whoever uses
        a relative path just then misses it.
        """
        folders = {"data_dir": self.data_dir, "log_dir": self.log_dir, "parquet_dir": self.parquet_folder}
        return self.model_copy(update={name: folder.absolute() for name, folder in folders.items()})

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return self.shown().items()

    def shown(self) -> dict[str, Any]:
        """All settings as plain values, secrets masked, of the key no more than the id's end: for manifests and rows."""
        shown = {name: _shown(getattr(self, name)) for name in type(self).model_fields}
        if self.kalshi_api_key_id:
            shown["kalshi_api_key_id"] = shown_id(self.kalshi_api_key_id)
        if self.kalshi_private_key_path is not None:
            shown["kalshi_private_key_path"] = MASK
        return shown

    def in_force(self) -> dict[str, Any]:
        """As `shown`, with the key's path, and with what stands in for an address or a folder that was not given."""
        stand_ins = {
            "kalshi_private_key_path": self.kalshi_private_key_path,
            "kalshi_ws_url": self.ws_url,
            "kalshi_rest_url": self.rest_url,
            "parquet_dir": self.parquet_folder,
        }
        return self.shown() | {name: _shown(value) for name, value in stand_ins.items()}


def load(flags: Mapping[str, object], *, ignore: tuple[str, ...] = ()) -> tuple[Settings, dict[str, str]]:
    """The settings in force and where each came from; ConfigError says what is wrong with which.

    `ignore` names settings that only a flag may give (the demo never writes into somebody's real tables).
    """
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    origin: dict[str, str] = {}
    merged: dict[str, Any] = {}
    sources: list[tuple[str, Callable[[], PydanticBaseSettingsSource]]] = [
        ("flag", partial(InitSettingsSource, Settings, init_kwargs=given)),
        ("environment", partial(EnvSettingsSource, Settings)),
        (".env", partial(DotEnvSettingsSource, Settings)),
        (TOML, partial(_OurFile, Settings, Path(TOML))),
    ]
    for where, source in sources:
        try:
            values = source()()
        except (SettingsError, ValueError, OSError) as error:
            raise ConfigError(f"Settings of {where} cannot be read: {error}") from error
        for name in Settings.model_fields:
            found = _found(values, name)
            if found is not None and name not in merged and not (where != "flag" and name in ignore):
                merged[name], origin[name] = found, where
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise ConfigError(_said(error, origin)) from None
    return settings, {name: origin.get(name, "default") for name in Settings.model_fields}


def nearly_settings() -> Iterator[str]:
    """A line for each name in `.env` (which `load` could read) that is nearly a setting: others' may stand there, too."""
    names = {*Settings.model_fields, "market_tickers"}
    for name in DotEnvSettingsSource(Settings).env_vars:
        close = get_close_matches(name, names, 1, NEARLY)
        if close and name not in names:
            yield f".env has {name.upper()}, which is no setting: did you mean {close[0].upper()}?"


class _OurFile(TomlConfigSettingsSource):
    """A file that is ours alone: what stands in it and is no setting is a mistake that nobody would see."""

    def __call__(self) -> dict[str, Any]:
        values = {name.lower(): value for name, value in super().__call__().items()}
        for name in values:
            if name not in Settings.model_fields and name != "market_tickers":
                close = get_close_matches(name, Settings.model_fields, 1)
                raise ValueError(f"it has no setting {name!r}" + (f"; did you mean {close[0]}?" if close else ""))
        return values


def _found(values: Mapping[str, Any], name: str) -> object:
    """Sources name a field by its own name or by an alias."""
    aliases = ("market_tickers",) if name == "markets" else ()
    return next((values[key] for key in (name, *aliases) if values.get(key) is not None), None)


def _said(error: ValidationError, origin: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else "?"
        value = "…" if "password" in name or "key" in name else f"{masked(str(problem.get('input')))[:80]!r}"
        wrong = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name.upper()} (from {origin.get(name, 'default')}) is {value}: {wrong}")
    return "; ".join(lines)


def _shown(value: object) -> Any:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, Path):
        return os.fspath(value)
    if isinstance(value, tuple):
        return list(value)
    return masked(value) if isinstance(value, str) else value


def masked(url: str) -> str:
    """`url` without the password in it, if it has one, also where it is not written as a URL must be.

    A password with `/`, `#` or `?` in it, or no scheme before it, is what somebody wonders about who has settings shown.
    """
    return _LOGIN.sub(rf"\1:{MASK}@", url)


_LOGIN = re.compile(r"\A([A-Za-z][\w+.-]*://[^:/]*|[^:/]*(?=:(?!//))):.+@", re.DOTALL)
"""Scheme (if there is one) and user of a URL, and the password behind them."""
