"""Signed headers, and what is said of keys that cannot sign."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from kalshi_trio.errors import ConfigError
from kalshi_trio.exchange.keys import KINDS, KeyKind, make_key, private_pem
from kalshi_trio.protocol.auth import KEY, SIGNATURE, STAMP, PrivateKey, Signer, verify
from kalshi_trio.transport.key import MOST_BYTES, exposed, load_signer

PATH = "/trade-api/ws/v2"
RFC_8032 = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"
"""The first private key of its section 7.1."""
OPENSSL_SAYS = "4qzWaZM0LIhF4O+2DRRT1j/JXNEc7rAQxKf8tpVqTK9TZHWV84ZllxV6poCRL6NV73IEjtEvH5DmjbOPXSubDQ=="
RSA_512 = (
    "MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEA0OK1Ll2wi2MjkcxiMd0kDGdMep2zsam9ghVSpw7dq6hPLnPxYBHv2lCByYg8t7DjM2P+"
    "m/GMiY9f51QR9uq8RQIDAQABAkEAm4E66qKa7JnIgCEMtRxxWr6II/xFKy03RKFFH9MkWUYg05INik6gYhp0rHNsuteoxRND+jJhw7p4tgTacpmmoQIh"
    "APxpAH072StNKffAIFSSDttIrtZfWwggJnFXn4nutVRNAiEA09s8zgGkgKZ39EJbcwUqzFfDSuQoLobjA3Ph175O49kCIQCSgQO2rMEtX/lnAs4BKFGV"
    "N8e7R9eXjMmjad+A+Nuo1QIhAKBvYIapW8hJSIHjVpmuChEhTTWDvqItZ/EParIU3m1RAiBc+dEXLXonxszuYAyo4q3NidvyroeBhmwOiQ3c4UE1RQ=="
)
DSA_1024 = (
    "MIIBWwIBADCCATMGByqGSM44BAEwggEmAoGBAM62qXfjZbyL0NtaRCAXAY8Oz56M8yUCl0xXOSI0d7+2H8xAagt2lA79kWbjv+lPiSzrIMlaoswC0ohT"
    "EdYrLiwHef1HbNDNwVM2LXC49QvDwXGcio5t1IkDnzptvH0AlDCd4jX2/UI1QRpyZULEJ8uw3KtnFlqy0xurs0+LaoT/Ah0Asb5VPLoFj0FQsb42ZwEu"
    "SAtXynr7s9Rel30s8QKBgAgjup/uzm7tm5BWt25PRF9XObo2152sJcEvgLx+NytsrDKRO9Me3/AZbshbBfZ6hTLqAVylAY+yDFQOACB1OjrKi/5RMCt/"
    "AmPF4/CbCW5OmMy+337Ln49+RtGMTSQcLtjZcUwpphLFRhfO5uCCUT1aO5mtO4g0VyMag/QzasdhBB8CHQCCriZ+2RuFhAxal4cWSZREIKfVhwsbFlJZ"
    "8JZJ"
)
DH_512 = (
    "MIGcAgEAMFMGCSqGSIb3DQEDATBGAkEA2BMIqGLuf5/j+Grp14MEcyXxCZKI5PFS4/TEcRCZQsAzb+3ZPEnZON0qIvVRU0l4a3Koh5yntTIERK3majXu"
    "JwIBAgRCAkAwmZMqtBWni4y9+oZERvX7UJaEzQqBhlRhLU9k+VnsfmSCaexe3JtdsWo0R6Zw2rxQDd+hPe6msFQOcCKb9amK"
)


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def of(kind: KeyKind) -> PrivateKey:
    return key() if kind == "rsa" else make_key(kind)


def private(body: str) -> bytes:
    """A key's base64 as PEM."""
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n".encode()


def other(key: Any) -> bytes:
    """A key of whatever kind, in the form of both that are taken."""
    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return data


def pem(
    form: PrivateFormat = PrivateFormat.TraditionalOpenSSL, encryption: KeySerializationEncryption | None = None
) -> bytes:
    return key().private_bytes(Encoding.PEM, form, encryption or NoEncryption())


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_the_signature_is_pss_over_stamp_method_and_path(form: PrivateFormat) -> None:
    headers = dict(Signer("an-id", pem(form), "key.pem").headers("GET", PATH, 1_790_000_000_123))

    assert {KEY: "an-id", STAMP: "1790000000123", SIGNATURE: headers[SIGNATURE]} == headers
    assert len(headers[SIGNATURE]) == 344
    key().public_key().verify(
        base64.b64decode(headers[SIGNATURE]),
        b"1790000000123GET/trade-api/ws/v2",
        padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32),
        hashes.SHA256(),
    )


def test_an_ed25519_key_signs_the_same_text_as_rfc_8032_says() -> None:
    """Key, text and signature as `openssl pkeyutl -sign -rawin` has them."""
    headers = dict(Signer("an-id", private(RFC_8032), "key.pem").headers("GET", PATH, 1_790_000_000_123))

    assert {KEY: "an-id", STAMP: "1790000000123", SIGNATURE: headers[SIGNATURE]} == headers
    assert headers[SIGNATURE] == OPENSSL_SAYS
    assert len(headers[SIGNATURE]) == 88
    assert len(base64.b64decode(headers[SIGNATURE])) == 64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("method", "path", "stamp", "good"),
    [("GET", PATH, "1", True), ("POST", PATH, "1", False), ("GET", "/", "1", False), ("GET", PATH, "2", False)],
)
def test_a_signature_holds_for_what_was_signed_and_nothing_else(
    kind: KeyKind, method: str, path: str, stamp: str, good: bool
) -> None:
    signature = dict(Signer("an-id", private_pem(of(kind)), "key.pem").headers("GET", PATH, 1))[SIGNATURE]

    assert good is verify(of(kind).public_key(), signature, method, path, stamp)
    assert not verify(make_key(kind).public_key(), signature, method, path, stamp)
    assert not any(verify(of(other).public_key(), signature, method, path, stamp) for other in KINDS if other != kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signature", ["", "no base64!", "AAAA", "ü"])
def test_rubbish_is_no_signature(kind: KeyKind, signature: str) -> None:
    assert not verify(of(kind).public_key(), signature, "GET", PATH, "1")


@pytest.mark.parametrize(("key_id", "shown"), [("an-id", "…"), ("a952bcbe-ec3b-4b5b-b8f9-11dae589608c", "…608c")])
def test_a_signer_shows_nothing_but_the_end_of_its_id(key_id: str, shown: str) -> None:
    signer = Signer(key_id, pem(), "key.pem")

    assert f"Signer('{shown}')" == repr(signer) == str(signer) == f"{signer}"


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
    "no PEM, but DER": (
        of("ed25519").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "no private key in PEM form",
    ),
    "on one line": (private_pem(of("ed25519")).replace(b"\n", b"\\n"), "no private key"),
    "a public key": (key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "a public key"),
    "a certificate": (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a certificate"),
    "OpenSSH's": (of("ed25519").private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), "OpenSSH's own"),
    "encrypted": (pem(PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")), "is encrypted"),
    "encrypted, as of old": (pem(encryption=BestAvailableEncryption(b"secret")), "is encrypted"),
    "encrypted, Ed25519": (
        of("ed25519").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        "is encrypted",
    ),
    "EC": (other(ec.generate_private_key(ec.SECP256R1())), "of another kind .EC."),
    "DSA": (private(DSA_1024), "of another kind .DSA."),
    "X25519": (other(x25519.X25519PrivateKey.generate()), "of another kind .X25519."),
    "X448": (other(x448.X448PrivateKey.generate()), "of another kind .X448."),
    "Ed448": (other(ed448.Ed448PrivateKey.generate()), "of another kind .Ed448."),
    "DH": (private(DH_512), "of another kind .DH."),
    "too short": (private(RSA_512), "too short to sign with"),
    "endless": (b"x" * 2 * MOST_BYTES + private_pem(of("ed25519")), "no private key"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_without_a_usable_key_is_named_and_not_quoted(case: str, tmp_path: Path) -> None:
    data, said = BAD[case]
    path = tmp_path / "key.pem"
    path.write_bytes(data)

    with pytest.raises(ConfigError, match=said) as error:
        load_signer("an-id", path)

    text = str(error.value)
    assert "key.pem" in text
    assert str(tmp_path) not in text
    assert "RSA or Ed25519" in text
    assert "KALSHI_PRIVATE_KEY_PATH" in text
    assert len(text.splitlines()) == 1
    assert "password" not in text
    assert error.value.__cause__ is None
    assert error.value.exit_code == 78


@pytest.mark.parametrize("name", ["missing.pem", "folder", "a\nb", "nul\0", "x" * 300])
def test_a_file_that_cannot_be_read_is_named_without_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be read.*KALSHI_PRIVATE_KEY_PATH") as error:
        load_signer("an-id", tmp_path / name)

    assert (name if name.isprintable() else ascii(name)) in str(error.value)
    assert str(tmp_path) not in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert error.value.__cause__ is None


FORMS = {
    "as it comes": lambda data: data,
    "from Windows": lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
    "below a public key": lambda data: (
        key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) + data
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_good_file_makes_a_signer(kind: KeyKind, form: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(FORMS[form](private_pem(of(kind))))

    headers = dict(load_signer("an-id", path).headers("GET", PATH, 1))

    assert verify(of(kind).public_key(), headers[SIGNATURE], "GET", PATH, "1")


@pytest.mark.parametrize(
    ("mode", "said"), [(0o644, True), (0o640, True), (0o602, True), (0o600, False), (0o400, False)]
)
def test_a_key_that_others_may_use_is_warned_of_with_what_to_do(mode: int, said: bool, tmp_path: Path) -> None:
    path = tmp_path / "my key.pem"
    path.write_bytes(pem())
    path.chmod(mode)

    text = exposed(path)

    assert bool(text) is said
    if said:
        assert text.endswith("chmod 600 'my key.pem'")
        assert f"mode {mode:04o}" in text
        assert "KALSHI_PRIVATE_KEY_PATH" in text
        assert str(tmp_path) not in text


def test_what_is_no_file_is_not_warned_of(tmp_path: Path) -> None:
    assert exposed(Path("/dev/null")) == exposed(tmp_path / "missing") == ""
