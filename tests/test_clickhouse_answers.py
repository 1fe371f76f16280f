"""Answers of a server that are not what they seem, and how they are said: cut, failing in the middle, refused; TLS."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from clickhouse_http import PASSWORD, USER, Front
from sink_rows import SESSION, batch, delta_batch

from kalshi_trio.errors import ConfigError, SinkError, SinkRefused, SinkUnavailable
from kalshi_trio.protocol.schema import TABLES
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Server
from kalshi_trio.sinks.clickhouse_rows import ClickHouseRows

_databases = (f"answers_{i}" for i in itertools.count())
ASKED: dict[str, Callable[[ClickHouseStore], object]] = {
    "system.databases": ClickHouseStore.open,
    "system.tables": ClickHouseStore.open,
    "system.columns": ClickHouseStore.open,
    "max(version)": ClickHouseStore.open,
    "max(base)": ClickHouseStore.open,
    "max(epoch)": lambda store: store.positions(SESSION),
    "system.processes": lambda store: store.positions(SESSION),
    "system.mutations": lambda store: store.positions(SESSION),
    "max(frame)": lambda store: store.positions(SESSION),
    "sha256": lambda store: store.hint(SESSION),
    "count()": lambda store: store.count(SESSION),
}
"""All questions of the store, by a part of their text, and what asks them."""
ROWS = dict.fromkeys(TABLES, 0) | {table: rows.num_rows for table, rows in batch(1, 100).tables.items()}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("server"))
    try:
        yield front
    finally:
        front.close()


@pytest.fixture
def store(front: Front) -> Iterator[ClickHouseStore]:
    store = ClickHouseStore(Server(front.url, USER, PASSWORD), next(_databases))
    store.open()
    store.write(batch(1, 100), store.positions(SESSION))
    store.progress(SESSION, 100)
    yield store
    front.fault()
    store.close()


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("asked", ASKED)
def test_an_answer_that_fails_in_the_middle_is_not_believed(
    store: ClickHouseStore, front: Front, asked: str, part: float
) -> None:
    front.fault(kind="broken", sql=asked, part=part)
    with pytest.raises(SinkUnavailable):
        ASKED[asked](store)

    store.open()
    assert store.positions(SESSION)["deltas"] == 100
    assert store.hint(SESSION) == 100
    assert store.count(SESSION) == ROWS


@pytest.mark.parametrize(
    ("code", "error"), [(241, SinkUnavailable), (395, SinkUnavailable), (1002, SinkUnavailable), (60, SinkRefused)]
)
def test_an_insert_that_fails_after_200_has_not_stored(
    store: ClickHouseStore, front: Front, code: int, error: type[SinkError]
) -> None:
    front.fault(kind="broken", match="/deltas/", code=code)
    with pytest.raises(error, match=f"Code: {code}"):
        store.write(batch(101, 200), dict.fromkeys(TABLES, 100))

    assert store.positions(SESSION)["deltas"] == 100


@pytest.mark.parametrize("code", [76, 173, 241, 252, 439, 1001])
def test_short_descriptors_memory_and_parts_are_passing(store: ClickHouseStore, front: Front, code: int) -> None:
    front.fault(kind="status", match="/deltas/", status=500, code=code)
    with pytest.raises(SinkUnavailable):
        store.write(batch(101, 200), dict.fromkeys(TABLES, 100))


@pytest.mark.parametrize(
    ("code", "name", "said"),
    [
        (164, "READONLY", "This user may only read"),
        (497, "ACCESS_DENIED", "GRANT it to the user of the recorder"),
        (81, "UNKNOWN_DATABASE", "The database is not there"),
        (291, "DATABASE_ACCESS_DENIED", "may not use the database"),
    ],
)
def test_a_refusal_says_what_to_do(front: Front, code: int, name: str, said: str) -> None:
    store = ClickHouseStore(Server(front.url, USER, PASSWORD), next(_databases))
    words = f"Code: {code}. DB::Exception: recorder: that is not for you. ({name})"
    front.fault(kind="status", sql="CREATE DATABASE", status=500, code=code, body=words)
    with pytest.raises(SinkRefused, match=said) as caught:
        store.open()

    assert name in str(caught.value)
    assert PASSWORD not in str(caught.value)
    store.close()


@pytest.mark.parametrize("name", ["my-db", "1st", "ka lshi", "x'y", "", "données"])
def test_a_database_name_of_other_characters_is_said(front: Front, name: str) -> None:
    with pytest.raises(ConfigError, match=r"CLICKHOUSE_DATABASE .*: use letters, digits and _, and no digit first"):
        ClickHouseStore(Server(front.url, USER, PASSWORD), name)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Front, Path]]:
    """A server with TLS, and the file of the CA behind its certificate."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key, ca = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem"))
    certificate.private_key_pem.write_to_path(key)
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(chain, append=True)
    authority.cert_pem.write_to_path(ca)
    front = Front(tmp_path / "server", (chain, key))
    try:
        yield front, ca
    finally:
        front.close()


def test_tls_with_a_ca_of_ones_own(secured: tuple[Front, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    front, ca = secured
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    store = ClickHouseStore(Server(front.url, USER, PASSWORD))
    store.open()
    front.fault(kind="cut", match="/deltas/")
    with pytest.raises(SinkUnavailable):
        store.write(delta_batch(1, 5), store.positions(SESSION))
    store.write(delta_batch(1, 9), store.positions(SESSION))

    assert store.count(SESSION)["deltas"] == 9
    store.close()


def test_a_certificate_that_is_not_trusted_is_a_refusal_that_says_how(secured: tuple[Front, Path]) -> None:
    front, _ = secured
    store = ClickHouseStore(Server(front.url, USER, PASSWORD))
    with pytest.raises(SinkRefused, match=r"certificate is not to be trusted: .*SSL_CERT_FILE names its file"):
        store.open()
    store.close()


def test_a_server_that_speaks_no_tls_is_said(front: Front) -> None:
    store = ClickHouseStore(Server(front.url.replace("http:", "https:"), USER, PASSWORD))
    with pytest.raises(SinkUnavailable, match=r"(?i)ssl|tls"):
        store.open()
    store.close()
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED


def test_answers_come_compressed(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    from clickhouse_connect.driver import httputil  # noqa: PLC0415  the module that reads answers

    before = httputil.ResponseSource.__init__

    def watch(self: httputil.ResponseSource, response: object, *args: object, **more: object) -> None:
        seen.append(str(response.headers.get("content-encoding")))  # type: ignore[attr-defined]  # a urllib3 response
        before(self, response, *args, **more)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(httputil.ResponseSource, "__init__", watch)
    store = ClickHouseStore(Server(front.url, USER, PASSWORD), next(_databases))
    store.open()
    store.write(batch(1, 500), store.positions(SESSION))

    assert store.count(SESSION)["deltas"] == 500
    assert seen.count("lz4") > 5
    store.close()


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_rows_whose_answer_breaks_off_are_no_damage(store: ClickHouseStore, front: Front, part: float) -> None:
    rows = ClickHouseRows(Server(front.url, USER, PASSWORD), store._database)
    rows.open()
    front.fault(kind="broken", sql="WITH TIES", part=part)
    with pytest.raises(SinkUnavailable):
        list(rows.batches("deltas", SESSION))

    assert sum(page.num_rows for page in rows.batches("deltas", SESSION)) == 100
    rows.close()
