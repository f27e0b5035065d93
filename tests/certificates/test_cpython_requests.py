"""Requests (PKCS #10) and wrapped certificates (PKCS #7), as others read and write them."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7 as their_pkcs7
from cryptography.x509.oid import NameOID

from certificates import maker, tree
from certificates.cases import refused
from pki import dn, name, pkcs7, pkcs10
from pki.certificate import Certificate, Key

KEYS = {
    "ecp256": (maker.ec_key(), "sha256"),
    "ecp384": (maker.ec_key(ec.SECP384R1()), "sha384"),
    "ecp521": (maker.ec_key(ec.SECP521R1()), "sha512"),
    "rsa": (maker.rsa_key(), "sha256"),
}


def spki(private):
    public = private.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.DER, form)


def signer(private, digest):
    return lambda message: (
        digest,
        maker.sign(private, bytes(message), getattr(hashes, digest.upper())()),
    )


@pytest.mark.parametrize("kind", KEYS)
def test_request(kind):
    private, digest = KEYS[kind]
    subject = dn.encode("C=DE, O=Lab, CN=branch 17")
    names = [
        dn.identity("gw.example"),
        dn.identity("a@b.example"),
        (name.ID_IPV4, b"\x0a\x00\x00\x01"),
        (name.ID_IPV6, bytes(15) + b"\x01"),
    ]
    made = pkcs10.request(subject, Key(spki(private)), signer(private, digest), names)
    read = x509.load_der_x509_csr(made)
    assert read.is_signature_valid
    assert read.signature_hash_algorithm.name == digest
    assert read.subject.public_bytes() == subject
    assert read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "branch 17"
    assert spki(private) == read.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in found] == ["gw.example", "a@b.example", "10.0.0.1", "::1"]
    # Read and written by the library, it is the same again.
    assert read.public_bytes(serialization.Encoding.DER) == made


def test_request_without_names():
    private, digest = KEYS["ecp256"]
    made = pkcs10.request(dn.encode("CN=a"), Key(spki(private)), signer(private, digest))
    read = x509.load_der_x509_csr(made)
    assert read.is_signature_valid and not list(read.extensions)


@pytest.mark.parametrize("kind", KEYS)
def test_key_round_trip(kind):
    encoded = spki(KEYS[kind][0])
    assert pkcs10.public_key(Key(encoded)) == encoded


def wrapped(count):
    ca = maker.authority("Root")
    ders = [maker.Party(f"gateway {number}", ca).der for number in range(count)]
    loaded = [x509.load_der_x509_certificate(der) for der in ders]
    return ders, their_pkcs7.serialize_certificates(loaded, serialization.Encoding.DER)


def test_wrapped_certificates():
    ders, data = wrapped(3)
    found = pkcs7.certificates(data)
    assert sorted(map(bytes, found)) == sorted(ders)
    assert {Certificate(one).subject.obj is data for one in found} == {True}, "views, no copies"


def test_wrapped_in_a_signed_message():
    ca = maker.authority("Root")
    leaf = maker.Party("gateway", ca)
    certificate = x509.load_der_x509_certificate(leaf.der)
    builder = their_pkcs7.PKCS7SignatureBuilder().set_data(b"data")
    builder = builder.add_signer(certificate, leaf.key, hashes.SHA256())
    builder = builder.add_certificate(x509.load_der_x509_certificate(ca.der))
    data = builder.sign(serialization.Encoding.DER, [their_pkcs7.PKCS7Options.Binary])
    assert sorted(map(bytes, pkcs7.certificates(data))) == sorted([leaf.der, ca.der])


def test_wrapped_certificates_are_bounded():
    assert refused(pkcs7.certificates, wrapped(8)[1]) is None
    assert refused(pkcs7.certificates, wrapped(9)[1]) == "too-many"


def test_wrapped_rubbish():
    _, data = wrapped(1)
    for size in range(len(data)):
        assert refused(pkcs7.certificates, data[:size]) == "malformed-der", size
    for at in range(60):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            assert refused(pkcs7.certificates, changed) in (
                None,
                "malformed-der",
                "unsupported-algorithm",
            )
    content = tree.parse(data)
    content[0][1][0][1] = content[0][1][0][1][:-1] + b"\x01"
    assert refused(pkcs7.certificates, tree.encode(content)) == "unsupported-algorithm"
