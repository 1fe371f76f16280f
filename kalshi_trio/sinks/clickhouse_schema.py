"""The tables in ClickHouse, derived from `protocol.schema.TABLES`, and what is compared with tables that are there.

Codecs by measurement on 551,203 real deltas: DoubleDelta for numbers that count upwards, Delta for times, ZSTD(1) for
all: 7.7 bytes a row against 22.9 by default. The order (session, frame, row) answers `max(frame)` of a session from the
index. Deduplication windows are off: the token is written before the part, so a crash between the two loses the rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from kalshi_trio.errors import ConfigError
from kalshi_trio.protocol.schema import COUNT, PRICE, TABLES

LEVELS = "latest_levels"
BOOK = "latest_book"
PROGRESS = "progress"
FENCE = "fence"

LEVELS_SCHEMA = pa.schema(
    [
        pa.field("market", pa.string(), nullable=False),
        pa.field("side", pa.string(), nullable=False),
        pa.field("price", PRICE, nullable=False),
        pa.field("size", COUNT, nullable=False),
        pa.field("base", pa.uint64(), nullable=False),
        pa.field("version", pa.uint64(), nullable=False),
    ]
)
"""A row a change of a level; `base` is the version of the market's snapshot that it stands on."""

PROGRESS_SCHEMA = pa.schema(
    [
        pa.field("session", pa.string(), nullable=False),
        pa.field("through", pa.uint64(), nullable=False),
        pa.field("held", pa.large_string(), nullable=False),
        pa.field("sha256", pa.large_string(), nullable=False),
    ]
)
"""See `hints`."""

FENCE_SCHEMA = pa.schema(
    [pa.field("session", pa.large_string(), nullable=False), pa.field("epoch", pa.uint64(), nullable=False)]
)
"""The newest epoch of each session, on servers: see `clickhouse_fence`."""

_SCHEMAS: dict[str, pa.Schema] = TABLES | {LEVELS: LEVELS_SCHEMA, PROGRESS: PROGRESS_SCHEMA, FENCE: FENCE_SCHEMA}
_REPLACING = {
    LEVELS: "ReplacingMergeTree(version) ORDER BY (market, side, price)",
    PROGRESS: "ReplacingMergeTree(through) ORDER BY session",
    FENCE: "ReplacingMergeTree(epoch) ORDER BY session",
}
_FREE_TEXT = {"trade_id", "payload", "settings"}
_DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1"
_FEW_MERGES = ", merge_selector_base = 20"
"""Four times as many parts at once are merged as by default, so each row is merged half as often: 0.5 instead of 1.0 µs of
processor time a message. Servers have processors of their own, and older ones do not know the setting."""
_ALIASES = {
    "book_side": (
        "LowCardinality(Nullable(String))",
        "multiIf(side = 'yes', 'bid', side = 'no', 'ask', NULL)",
    ),
    "yes_price": (
        "Nullable(Decimal(9, 4))",
        "multiIf(side = 'yes', price, side = 'no', toDecimal32(1, 4) - price, NULL)",
    ),
}

_BOOK = """
CREATE VIEW {view} AS SELECT market, side, price, size, version, {aliases}
FROM (
    SELECT market, side, price,
        argMax(l.size, l.version) AS size, argMax(l.base, l.version) AS base, max(l.version) AS version
    FROM {levels} AS l GROUP BY market, side, price
)
WHERE size > 0 AND (market, base) IN (SELECT market, max(base) FROM {levels} GROUP BY market)
"""


def columns(table: str) -> dict[str, str]:
    """Name → type of all columns of a table, as `system.columns` writes them, ALIAS columns included."""
    schema = _SCHEMAS[table]
    stored = {field.name: _type(field) for field in schema}
    return stored | ({name: kind for name, (kind, _) in _ALIASES.items()} if "side" in stored else {})


def on_cluster(cluster: str) -> str:
    """What makes a statement that makes something do so on all servers of a cluster; empty without one."""
    return f" ON CLUSTER `{cluster}`" if cluster else ""


def create_statements(database: str, *, embedded: bool = False, cluster: str = "") -> dict[str, str]:
    """Name → statement that makes it, in the order in which they must be made; `latest_book` is a view.

    `embedded`: the engine shares its processors with the recorder. `cluster`: on all its servers, with replicated tables.
    """
    settings = _DURABLE + (_FEW_MERGES if embedded else "")
    # An insert into the embedded engine has ended when its call has: there is nothing to fence off.
    made = {
        table: _create(database, table, settings, cluster) for table in _SCHEMAS if not (embedded and table == FENCE)
    }
    aliases = ", ".join(f"{expression} AS {name}" for name, (_, expression) in _ALIASES.items())
    made[BOOK] = _BOOK.format(
        view=f"`{database}`.{BOOK}{on_cluster(cluster)}", levels=f"`{database}`.{LEVELS}", aliases=aliases
    )
    return made


def added(database: str, table: str, found: Mapping[str, str]) -> list[str]:
    """Statements that add what a newer version's hints have to an older version's table of them."""
    if table != PROGRESS or {"session", "through"} - found.keys():
        return []
    return [
        f"ALTER TABLE `{database}`.{table} ADD COLUMN IF NOT EXISTS `{name}` {kind}"
        for name, kind in columns(table).items()
        if name not in found
    ]


def check(database: str, table: str, found: Mapping[str, str], engine: str, partition_key: str) -> None:
    """Raises ConfigError if a table of that name cannot take our rows; further columns of its owner do not matter."""
    problems = _problems(table, found, engine, partition_key)
    if problems:
        message = (
            f"ClickHouse already has a table {database}.{table} that is not ours or of another version: "
            f"{'; '.join(problems[:3])}. It was left alone. Choose another database (CLICKHOUSE_DATABASE) or rename it."
        )
        raise ConfigError(message)


def check_replicated(cluster: str, database: str, table: str, engine: str) -> None:
    """Raises ConfigError if a cluster's servers would not all have the rows of a table that is there."""
    if cluster and table != BOOK and not engine.startswith(("Replicated", "Shared")):
        raise ConfigError(
            f"CLICKHOUSE_CLUSTER is {cluster}, and the table {database}.{table} is not replicated ({engine}): another of its "
            "servers would have none of its rows. Choose another database (CLICKHOUSE_DATABASE), or name one server alone"
        )


def _problems(table: str, found: Mapping[str, str], engine: str, partition_key: str) -> list[str]:
    if table == BOOK:
        return [] if engine == "View" else [f"it is no view but a table ({engine})"]
    problems = [
        f"column {name} is {found[name]} instead of {kind}" if name in found else f"column {name} {kind} is missing"
        for name, kind in columns(table).items()
        if found.get(name, "").replace(" ", "") != kind.replace(" ", "")
    ]
    if not engine.endswith("MergeTree") or ("Replacing" in engine) != (table in _REPLACING):
        problems.insert(0, f"its engine is {engine}")
    if partition_key not in {"", "date"}:
        problems.append(f"it is partitioned by {partition_key}, so an insert would not be atomic")
    return problems


def _create(database: str, table: str, settings: str, cluster: str) -> str:
    lines = [f"`{field.name}` {_type(field)} CODEC({_codec(field)})" for field in _SCHEMAS[table]]
    if "side" in columns(table):
        lines += [f"`{name}` {kind} ALIAS {expression}" for name, (kind, expression) in _ALIASES.items()]
    engine = _REPLACING.get(table, "MergeTree PARTITION BY date ORDER BY (session, frame, row)")
    options = f"SETTINGS non_replicated_deduplication_window = 0, {settings}"
    replicated = "Replicated" if cluster else ""
    made = f"CREATE TABLE `{database}`.{table}{on_cluster(cluster)} ({', '.join(lines)})"
    return f"{made} ENGINE = {replicated}{engine} {options}"


def _type(field: pa.Field) -> str:
    kind = field.type
    if pa.types.is_string(kind):
        text = "Nullable(String)" if field.nullable else "String"
        return text if field.name in _FREE_TEXT else f"LowCardinality({text})"
    name = _plain_type(kind)
    return f"Nullable({name})" if field.nullable else name


def _plain_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"Decimal({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return f"DateTime64({9 if kind.unit == 'ns' else 6}, 'UTC')"
    names = {
        pa.uint32(): "UInt32",
        pa.uint64(): "UInt64",
        pa.int64(): "Int64",
        pa.bool_(): "Bool",
        pa.date32(): "Date",
        pa.large_string(): "String",
    }
    return "Array(String)" if pa.types.is_list(kind) else names[kind]


def _codec(field: pa.Field) -> str:
    if pa.types.is_timestamp(field.type):
        return "Delta, ZSTD(1)"
    return "DoubleDelta, ZSTD(1)" if field.type == pa.uint64() else "ZSTD(1)"
