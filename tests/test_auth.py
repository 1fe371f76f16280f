"""Signed headers, and what is said of keys that cannot sign."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from kalshi_trio.errors import ConfigError
from kalshi_trio.protocol.auth import KEY, SIGNATURE, STAMP, Signer, verify
from kalshi_trio.transport.key import load_signer

PATH = "/trade-api/ws/v2"


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(
    form: PrivateFormat = PrivateFormat.TraditionalOpenSSL, encryption: KeySerializationEncryption | None = None
) -> bytes:
    return key().private_bytes(Encoding.PEM, form, encryption or NoEncryption())


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_the_signature_is_pss_over_stamp_method_and_path(form: PrivateFormat) -> None:
    headers = dict(Signer("an-id", pem(form), "key.pem").headers("GET", PATH, 1_790_000_000_123))

    assert {KEY: "an-id", STAMP: "1790000000123", SIGNATURE: headers[SIGNATURE]} == headers
    key().public_key().verify(
        base64.b64decode(headers[SIGNATURE]),
        b"1790000000123GET/trade-api/ws/v2",
        padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32),
        hashes.SHA256(),
    )


@pytest.mark.parametrize(
    ("method", "path", "stamp", "good"),
    [("GET", PATH, "1", True), ("POST", PATH, "1", False), ("GET", "/", "1", False), ("GET", PATH, "2", False)],
)
def test_a_signature_holds_for_what_was_signed_and_nothing_else(method: str, path: str, stamp: str, good: bool) -> None:
    signature = dict(Signer("an-id", pem(), "key.pem").headers("GET", PATH, 1))[SIGNATURE]

    assert good is verify(key().public_key(), signature, method, path, stamp)


@pytest.mark.parametrize("signature", ["", "no base64!", "AAAA", "ü"])
def test_rubbish_is_no_signature(signature: str) -> None:
    assert not verify(key().public_key(), signature, "GET", PATH, "1")


def test_a_signer_shows_nothing_of_its_key() -> None:
    signer = Signer("an-id", pem(), "key.pem")

    assert "Signer('an-id')" == repr(signer) == str(signer) == f"{signer}"


@pytest.mark.parametrize("key_id", ["", " ", "two words", "line\nbreak", "schlüssel"])
def test_an_id_that_cannot_stand_in_a_header_is_refused(key_id: str) -> None:
    with pytest.raises(ConfigError, match="KALSHI_API_KEY_ID"):
        Signer(key_id, pem(), "key.pem")


def test_space_around_an_id_is_no_part_of_it() -> None:
    assert Signer(" an-id\n", pem(), "key.pem").key_id == "an-id"


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no private key"),
    "no PEM": (b"a password in the wrong file", "no private key"),
    "cut short": (pem()[:400], "no private key"),
    "a public key": (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no private key"),
    "encrypted": (pem(PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")), "is encrypted"),
    "no RSA": (
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "no RSA key",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_without_a_usable_key_is_named_and_not_quoted(case: str, tmp_path: Path) -> None:
    data, said = BAD[case]
    path = tmp_path / "key.pem"
    path.write_bytes(data)

    with pytest.raises(ConfigError, match=said) as error:
        load_signer("an-id", path)

    assert str(path) in str(error.value)
    assert "password" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("name", ["missing.pem", "."])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as error:
        load_signer("an-id", tmp_path / name)

    assert str(tmp_path / name) in str(error.value)


def test_a_good_file_makes_a_signer(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem())

    assert load_signer("an-id", path).key_id == "an-id"
