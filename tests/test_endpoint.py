"""Where to connect, read from a URL."""

from __future__ import annotations

import pytest
from memory_exchange import gate, signer

from kalshi_trio.demo import signed
from kalshi_trio.errors import ConfigError
from kalshi_trio.transport.endpoint import Endpoint, check_cleartext


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "header"),
    [
        ("wss://external-api-ws.kalshi.com/trade-api/ws/v2", True, "external-api-ws.kalshi.com", 443, None),
        ("ws://127.0.0.1:8080/trade-api/ws/v2", False, "127.0.0.1", 8080, "127.0.0.1:8080"),
        ("ws://localhost", False, "localhost", 80, None),
        ("wss://[::1]:9000/x", True, "::1", 9000, "[::1]:9000"),
    ],
)
def test_a_url_says_where_to_connect(url: str, secure: bool, host: str, port: int, header: str | None) -> None:
    endpoint = Endpoint(url)

    assert (endpoint.secure, endpoint.host, endpoint.port, endpoint.host_header) == (secure, host, port, header or host)


@pytest.mark.parametrize(
    ("url", "path", "resource"),
    [("ws://h", "/", "/"), ("ws://h/a/b", "/a/b", "/a/b"), ("ws://h/a?b=c&d", "/a", "/a?b=c&d")],
)
def test_the_path_to_sign_leaves_out_the_query_that_is_asked_for(url: str, path: str, resource: str) -> None:
    assert (Endpoint(url).path, Endpoint(url).resource) == (path, resource)


def test_nothing_secret_is_shown() -> None:
    endpoint = Endpoint("wss://user:password@host/path?token=secret", ((b"KALSHI-ACCESS-SIGNATURE", b"signature"),))

    assert repr(endpoint) == "Endpoint('wss://host/path')"
    assert f"{endpoint} {endpoint!s}" == "Endpoint('wss://host/path') Endpoint('wss://host/path')"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "https://host/",
        "ws://",
        "ws:///path",
        "wss://host:port/",
        "ws://host:0",
        "ws://host:70000",
        "ws://[h",
        "ws://host/a b",
        "ws://host/ü",
        "ws://host/\n",
    ],
)
def test_a_url_of_no_websocket_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="KALSHI_WS_URL"):
        _ = Endpoint(url).parts


def test_what_the_peer_quotes_of_our_headers_is_masked() -> None:
    headers = ((b"KALSHI-ACCESS-KEY", b"a952bcbe-ec3b"), (b"KALSHI-ACCESS-SIGNATURE", b"c2lnbmF0dXJl"), (b"x", b"1"))
    endpoint = Endpoint("wss://host/", headers)

    assert endpoint.masked("1001: no key a952bcbe-ec3b (c2lnbmF0dXJl)") == "1001: no key … (…)"


def test_a_query_of_the_address_is_asked_for_and_not_signed() -> None:
    endpoint = signed("ws://127.0.0.1:1/trade-api/ws/v2?a=b", signer(), 1_790_000_000_123)

    assert endpoint.resource == "/trade-api/ws/v2?a=b"
    headers = {name.decode(): value.decode() for name, value in endpoint.headers}
    assert gate().judge(headers, endpoint.resource, 1_790_000_000_123) is None


@pytest.mark.parametrize(
    "url",
    [
        "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
        "https://10.0.0.1/trade-api/v2",
        "ws://localhost:1/",
        "http://LOCALHOST/trade-api/v2",
        "ws://127.0.0.1:8765/trade-api/ws/v2",
        "ws://127.8.9.10/",
        "ws://[::1]:9000/x",
        "ws://[::ffff:127.0.0.1]/",
    ],
)
def test_tls_and_this_machine_may_be_sent_signatures(url: str) -> None:
    check_cleartext("KALSHI_WS_URL", url)


@pytest.mark.parametrize(
    "url",
    [
        "ws://external-api-ws.kalshi.com/trade-api/ws/v2",
        "WS://exchange.test/",
        "http://external-api.kalshi.com/trade-api/v2",
        "ws://10.0.0.1/",
        "ws://[fe80::1]/",
        "ws://[::ffff:10.0.0.1]/",
        "ws://0.0.0.0/",
        "ws://127.0.0.1.evil.test/",
        "ws://127.0.0.1@evil.test/",
        "ws://localhost.evil.test/",
        "ws://my.localhost/",
    ],
)
def test_cleartext_to_another_machine_is_refused_and_what_allows_it_named(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^KALSHI_WS_URL .*ALLOW_CLEARTEXT=1") as error:
        check_cleartext("KALSHI_WS_URL", url)

    assert ("wss://" in str(error.value)) == url.lower().startswith("ws:")
    assert len(str(error.value).splitlines()) == 1


def test_what_a_peer_quotes_of_our_headers_is_masked_in_any_case_and_cut() -> None:
    secret = "a952bcbe-ec3b-4b5b-b8f9-11dae589608c"
    endpoint = Endpoint("wss://h.test/p", ((b"KALSHI-ACCESS-KEY", secret.encode()), (b"T", b"1795")))

    assert endpoint.masked(f"no key {secret}, sorry") == "no key …, sorry"
    assert endpoint.masked(f"no key {secret.upper()}.") == "no key …."
    assert endpoint.masked(f"no key {secret[:20]}") == "no key …"
    assert endpoint.masked(f"at 1795 {secret[3:12]}é") == "at … …é"
    assert endpoint.masked("nothing of it: a952bcb") == "nothing of it: a952bcb"
