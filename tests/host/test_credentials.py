"""Files of keys and certificates: what the board is given of them, and what is said otherwise."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
)

from ikelet import credentials, pki
from ikelet.credentials import CredentialsError, Files
from ikelet.pki import Identity, Validity

PASSWORD = b"open sesame"
Place = Callable[[str, bytes], Path]


@pytest.fixture(scope="module")
def root() -> Identity:
    return pki.make_ca(pki.name("CN=root"), pki.new_key("ecdsa256"), Validity(9))


@pytest.fixture(scope="module")
def device(root: Identity) -> Identity:
    between = pki.make_ca(pki.name("CN=between"), pki.new_key("ecdsa256"), Validity(9), root)
    return pki.make_device(
        pki.name("CN=device"), pki.new_key("ecdsa256"), Validity(9), between, ["device.example"]
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    def put(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.touch(0o600)
        path.write_bytes(content)
        return path

    return put


def files(place: Place, device: Identity, root: Identity) -> Files:
    return Files(
        key=place("key.pem", pki.key_pem(device.signing_key())),
        certificate=place("cert.pem", pki.pem([device.certificate, *device.chain])),
        ca=place("ca.pem", pki.pem([root.certificate])),
    )


def subjects(encoded: list[str]) -> list[str]:
    return [
        pki.text(x509.load_der_x509_certificate(base64.b64decode(one)).subject) for one in encoded
    ]


def test_pem(place: Place, device: Identity, root: Identity) -> None:
    section = credentials.section(files(place, device, root))
    assert subjects(section["chain"]) == ["CN=device", "CN=between"]
    assert subjects(section["ca"]) == ["CN=root"]
    assert section["crl"] == []
    made = load_der_private_key(base64.b64decode(section["key"]), None)
    assert made.public_key() == device.signing_key().public_key()


def test_der_and_crl(place: Place, device: Identity, root: Identity) -> None:
    given = files(place, device, root)
    given.certificate = place("cert.der", device.certificate.public_bytes(Encoding.DER))
    listed = pki.make_crl(root, {}, Validity(9), 1)
    given.crl = place("crl.pem", listed + listed)
    section = credentials.section(given)
    assert subjects(section["chain"]) == ["CN=device"]
    assert len(section["crl"]) == 2


def test_pkcs12(place: Place, device: Identity, root: Identity) -> None:
    bundle = pki.bundle(device, [root.certificate], PASSWORD)
    given = Files(pkcs12=place("device.p12", bundle), password=place("password", PASSWORD + b"\n"))
    section = credentials.section(given)
    assert subjects(section["chain"])[0] == "CN=device"
    assert subjects(section["ca"]) == ["CN=root"]


def test_encrypted_key(place: Place, device: Identity, root: Identity) -> None:
    encrypted = device.signing_key().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)
    )
    given = files(place, device, root)
    given.key = place("encrypted.pem", encrypted)
    with pytest.raises(CredentialsError, match=r"key_file .* needs password_file"):
        credentials.section(given)
    given.password = place("wrong", b"other")
    with pytest.raises(CredentialsError, match="its password is another"):
        credentials.section(given)
    given.password = place("right", PASSWORD)
    assert "key" in credentials.section(given)


def test_without_a_key_it_is_the_boards_own(
    place: Place, device: Identity, root: Identity
) -> None:
    given = files(place, device, root)
    given.key = None
    assert "key" not in credentials.section(given)


def test_what_is_wrong_is_named(place: Place, device: Identity, root: Identity) -> None:
    rubbish = place("rubbish", b"no such thing")
    for key in ("key", "certificate", "ca", "crl", "pkcs12"):
        given = files(place, device, root)
        setattr(given, key, rubbish)
        with pytest.raises(CredentialsError, match=f"^{key}_file "):
            credentials.section(given)
        setattr(given, key, rubbish.with_name("missing"))
        with pytest.raises(CredentialsError, match=f"^{key}_file cannot be read"):
            credentials.section(given)


def test_another_key(place: Place, device: Identity, root: Identity) -> None:
    given = files(place, device, root)
    given.key = place("other.pem", pki.key_pem(pki.new_key("ecdsa256")))
    with pytest.raises(CredentialsError, match="not the key of the first certificate"):
        credentials.section(given)


def test_no_ca(place: Place, device: Identity, root: Identity) -> None:
    given = files(place, device, root)
    given.ca = None
    with pytest.raises(CredentialsError, match="ca_file is missing"):
        credentials.section(given)


def test_keys_that_others_can_read_are_warned_of(
    place: Place, device: Identity, root: Identity
) -> None:
    given = files(place, device, root)
    assert given.key is not None
    given.key.chmod(0o644)
    credentials.section(given)
    assert len(given.warnings) == 1 and "chmod 600" in given.warnings[0]


def test_secret_part(place: Place, device: Identity, root: Identity) -> None:
    section = credentials.section(files(place, device, root))
    secret = credentials.secret_part(section["key"])
    assert secret in base64.b64decode(section["key"])
    assert all(secret not in base64.b64decode(one) for one in section["chain"])
