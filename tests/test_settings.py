"""Settings: flags, then environment, then `.env`, then `kalshi_trio.toml`, then defaults; each says where it came from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from kalshi_trio.cli import FLAG_ONLY_IN_DEMO, cli
from kalshi_trio.cli_options import SECRETS, SHOWN_BY, Setting
from kalshi_trio.errors import ConfigError
from kalshi_trio.settings import HOSTS, Settings, load, masked


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MARKETS", "MARKET_TICKERS", *(field.upper() for field in Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)


def test_each_source_outranks_those_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("kalshi_trio.toml").write_text('frames = 1\nseconds = 1\nbatch_rows = 1\ntransport = "plain"\n')
    Path(".env").write_text("FRAMES=2\nSECONDS=2\nBATCH_ROWS=2\n")
    monkeypatch.setenv("FRAMES", "3")
    monkeypatch.setenv("SECONDS", "3")

    settings, origin = load({"frames": 4})

    assert (settings.frames, settings.seconds, settings.batch_rows, settings.transport) == (4, 3, 2, "plain")
    assert [origin[name] for name in ("frames", "seconds", "batch_rows", "transport", "parquet")] == [
        "flag",
        "environment",
        ".env",
        "kalshi_trio.toml",
        "default",
    ]


@pytest.mark.parametrize("name", ["MARKETS", "MARKET_TICKERS"])
def test_markets_are_split_at_commas_and_named_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "A, B,,A")

    assert load({})[0].markets == ("A", "B")
    assert load({"markets": ("C,D", "E")})[0].markets == ("C", "D", "E")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRAMES", "0"),
        ("KALSHI_ENV", "moon"),
        ("MARKETS", "a b"),
        ("SECONDS", "x"),
        ("KALSHI_WS_URL", "https://example.org/"),
        ("KALSHI_WS_URL", "wss:///nowhere"),
        ("KALSHI_WS_URL", "wss://[half"),
        ("KALSHI_REST_URL", "wss://example.org/"),
        ("AUDIT", "-1"),
    ],
)
def test_a_mistake_names_the_setting_its_source_and_its_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match=rf"{name} \(from environment\) is .*{re.escape(value)}"):
        load({})


def test_the_endpoint_is_that_of_the_chosen_exchange_unless_it_is_given() -> None:
    assert load({})[0].ws_url == HOSTS["prod"][0]
    assert load({"kalshi_env": "demo"})[0].ws_url == HOSTS["demo"][0]
    assert load({"kalshi_ws_url": "ws://127.0.0.1:1/x"})[0].ws_url == "ws://127.0.0.1:1/x"
    assert load({})[0].rest_url == HOSTS["prod"][1]
    assert load({"kalshi_env": "demo"})[0].rest_url == HOSTS["demo"][1]
    assert load({"kalshi_rest_url": "http://127.0.0.1:1/x"})[0].rest_url == "http://127.0.0.1:1/x"


@pytest.mark.parametrize("source", ["flag", "environment", ".env", "kalshi_trio.toml"])
def test_home_and_variables_in_paths_are_expanded_wherever_they_come_from(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DISK", "/mnt/disk")
    paths = {
        "data_dir": "$DISK/data",
        "log_dir": "~/logs",
        "parquet_dir": "${DISK}/rows",
        "kalshi_private_key_path": "~nobody-has-this-name/k.pem",
    }
    if source == "environment":
        for name, value in paths.items():
            monkeypatch.setenv(name.upper(), value)
    elif source != "flag":
        Path(source).write_text("".join(f"{name} = '{value}'\n" for name, value in paths.items()))

    settings, _ = load({name: Path(value) for name, value in paths.items()} if source == "flag" else {})

    assert [getattr(settings, name) for name in paths] == [
        *map(Path, ("/mnt/disk/data", "/home/me/logs", "/mnt/disk/rows", "~nobody-has-this-name/k.pem"))
    ]


def test_a_word_in_our_own_file_that_is_no_setting_is_a_mistake() -> None:
    Path("kalshi_trio.toml").write_text("batch_row = 1\n")

    with pytest.raises(ConfigError, match=r"kalshi_trio\.toml .*'batch_row'; did you mean batch_rows\?"):
        load({})


def test_a_name_in_env_that_is_nearly_a_setting_is_warned_of_and_its_value_is_not_shown() -> None:
    names = (
        "KALSHI_PRIVATE_KEY",
        "kalshi_api_key",
        "MARKET",
        "LOG_LEVEL",
        "LOG_MAX_BYTES",
        "OTHERS",
        "FRAMES",
        "markets",
    )
    Path(".env").write_text("".join(f"{name}=1234567\n" for name in names))

    shown = CliRunner().invoke(cli, ["config", "--json"])

    assert shown.exit_code == 0
    assert shown.stderr.splitlines() == [
        "WARNING  | .env has KALSHI_PRIVATE_KEY, which is no setting: did you mean KALSHI_PRIVATE_KEY_PATH?",
        "WARNING  | .env has KALSHI_API_KEY, which is no setting: did you mean KALSHI_API_KEY_ID?",
        "WARNING  | .env has MARKET, which is no setting: did you mean MARKETS?",
    ]
    assert json.loads(shown.stdout)["frames"] == {"value": 1234567, "from": ".env"}


def test_names_in_our_own_file_may_be_written_as_in_the_environment() -> None:
    Path("kalshi_trio.toml").write_text('MARKETS = ["A", "B"]\nBATCH_ROWS = 3\n')

    settings, _ = load({})

    assert (settings.markets, settings.batch_rows) == (("A", "B"), 3)


@pytest.mark.parametrize("file", [".env", "kalshi_trio.toml"])
def test_a_file_that_cannot_be_read_is_named(file: str) -> None:
    Path(file).write_bytes(b"\xff\xfe = [")

    with pytest.raises(ConfigError, match=rf"Settings of {file} cannot be read"):
        load({})


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "sesame")
    monkeypatch.setenv("CLICKHOUSE_URL", "https://me:sesame@example.org:8443/x")
    settings, _ = load({})

    assert "sesame" not in repr(settings.clickhouse_password) + json.dumps(settings.shown())
    with pytest.raises(ConfigError) as mistake:
        load({"kalshi_ws_url": "https://me:sesame@example.org/"})
    assert "sesame" not in str(mistake.value)
    assert masked("https://me:sesame@example.org:8443/x") == "https://me:********@example.org:8443/x"


def test_of_the_key_no_more_than_the_end_of_its_id_is_shown_and_its_path_by_config_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KALSHI_API_KEY_ID", "a952bcbe-ec3b-4b5b-b8f9-11dae589608c")
    monkeypatch.setenv("KALSHI_PRIVATE_KEY_PATH", "/my/keys/mine.pem")
    settings, _ = load({})
    shown = json.loads(CliRunner().invoke(cli, ["config", "--json"]).output)

    assert shown["kalshi_api_key_id"] == {"value": "…608c", "from": "environment"}
    assert shown["kalshi_private_key_path"] == {"value": "/my/keys/mine.pem", "from": "environment"}
    assert settings.shown()["kalshi_api_key_id"] == "…608c"
    for text in (json.dumps(settings.shown()), repr(settings), str(settings), str(settings.anchored())):
        assert "a952" not in text
        assert "mine" not in text
        assert "…608c" in text or "\\u2026608c" in text
    assert load({"kalshi_api_key_id": "short"})[0].shown()["kalshi_api_key_id"] == "…"


@pytest.mark.parametrize("user", ["me", "", "me@example.org"])
@pytest.mark.parametrize("scheme", ["https://", ""])
@pytest.mark.parametrize(
    "password", ["sesame", "ses/ame", "ses#ame", "ses?ame", "ses@ame", "ses:ame", "ses://ame", "s"]
)
def test_a_password_is_masked_also_where_it_makes_the_url_no_url(user: str, scheme: str, password: str) -> None:
    shown = f"{scheme}{user}:********@example.org:8443"

    assert masked(f"{scheme}{user}:{password}@example.org:8443") == shown


@pytest.mark.parametrize(
    "plain", ["https://example.org/a@b", "https://example.org", "https://me@example.org", "", "a:b"]
)
def test_what_has_no_password_is_shown_as_it_is(plain: str) -> None:
    assert masked(plain) == plain


def test_every_setting_has_a_flag_with_help_secrets_excepted() -> None:
    flags = {option for parameter in cli.commands["record"].params for option in parameter.opts}

    assert flags >= {f"--{name.replace('_', '-')}" for name in Settings.model_fields if name not in SECRETS}
    assert not flags & {f"--{name.replace('_', '-')}" for name in SECRETS}
    assert all(field.description for field in Settings.model_fields.values())


def test_help_explains_the_settings_where_they_matter_and_names_the_place_elsewhere() -> None:
    texts = {name: CliRunner().invoke(cli, [name, "--help"]).output for name in cli.commands}

    for name, text in texts.items():
        flags = {option.opts[0] for option in cli.commands[name].params if isinstance(option, Setting)}
        shown = {flag for flag in flags if f"  {flag} " in text}
        assert shown == (flags if name in SHOWN_BY else {"--data-dir"}), name
        assert ("see `kalshi_trio record" in " ".join(text.split())) == (name not in SHOWN_BY)


def test_config_shows_what_is_in_force_and_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMES", "7")
    shown = CliRunner().invoke(cli, ["config", "--json", "--seconds", "2"])

    values = json.loads(shown.output)
    assert values["frames"] == {"value": 7, "from": "environment"}
    assert values["seconds"] == {"value": 2.0, "from": "flag"}
    assert set(values) == set(Settings.model_fields)


def test_config_shows_addresses_and_folders_in_force() -> None:
    shown = json.loads(CliRunner().invoke(cli, ["config", "--json", "--kalshi-env", "demo", "--data-dir", "d"]).output)

    assert shown["kalshi_ws_url"] == {"value": HOSTS["demo"][0], "from": "default"}
    assert shown["kalshi_rest_url"] == {"value": HOSTS["demo"][1], "from": "default"}
    assert shown["parquet_dir"] == {"value": "d/parquet", "from": "default"}


def test_the_demo_takes_where_it_stores_and_what_it_plays_from_flags_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLICKHOUSE_URL", "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD", "PARQUET_DIR", "KALSHI_WS_URL", "MARKETS"):
        monkeypatch.setenv(name, "ws://somebody/real")
    settings, _ = load({}, ignore=FLAG_ONLY_IN_DEMO)
    chosen, _ = load({"clickhouse_url": "http://mine", "parquet_dir": "mine"}, ignore=FLAG_ONLY_IN_DEMO)

    assert "somebody" not in json.dumps(settings.shown())
    assert not settings.clickhouse_password.get_secret_value()
    assert (chosen.clickhouse_url, chosen.parquet_dir) == ("http://mine", Path("mine"))


def test_flags_count_before_and_behind_the_commands_name() -> None:
    shown = CliRunner().invoke(cli, ["--frames", "5", "config", "--json"])

    assert json.loads(shown.output)["frames"] == {"value": 5, "from": "flag"}
