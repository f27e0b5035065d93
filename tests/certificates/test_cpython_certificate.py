"""What is read from certificates is what pyca/cryptography reads."""

import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certificates import maker
from certificates.cases import Cases, refused
from pki import dn, name, path
from pki.certificate import Certificate
from pki.crl import Crl

CASES = Cases()
GOOD = [name for name in CASES.names if CASES[name]["code"] is None]


@pytest.mark.parametrize("case", GOOD)
def test_fields(case):
    for encoded in CASES.chain(case):
        ours, theirs = Certificate(encoded), x509.load_der_x509_certificate(encoded)
        assert ours.tbs == theirs.tbs_certificate_bytes
        assert ours.signature == theirs.signature
        assert ours.subject == theirs.subject.public_bytes()
        assert ours.issuer == theirs.issuer.public_bytes()
        assert int.from_bytes(ours.serial, "big") == theirs.serial_number
        assert ours.not_before == theirs.not_valid_before_utc.timestamp()
        assert ours.not_after == theirs.not_valid_after_utc.timestamp()
        if theirs.signature_hash_algorithm:
            assert ours.hash == theirs.signature_hash_algorithm.name
        public = ours.key.public if ours.key.kind == "ec" else b"".join(ours.key.public)
        assert public == maker.public_bytes(theirs.public_key())
        assert ours.key.bits == theirs.public_key().key_size
        check_extensions(ours, theirs.extensions)


def check_extensions(ours, extensions):
    def theirs(kind):
        try:
            return extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    basic = theirs(x509.BasicConstraints)
    assert (ours.ca, ours.pathlen) == ((basic.ca, basic.path_length) if basic else (False, None))
    usage = theirs(x509.KeyUsage)
    if usage is None:
        assert ours.key_usage is None
    else:
        assert bool(ours.key_usage & 0x80) == usage.digital_signature
        assert bool(ours.key_usage & 0x40) == usage.content_commitment
        assert bool(ours.key_usage & 0x04) == usage.key_cert_sign
        assert bool(ours.key_usage & 0x02) == usage.crl_sign
    own, issuers = theirs(x509.SubjectKeyIdentifier), theirs(x509.AuthorityKeyIdentifier)
    assert ours.ski == (own.digest if own else None)
    assert ours.aki == (issuers.key_identifier if issuers else None)


def test_alternative_names():
    address = ipaddress.ip_address
    names = [
        x509.DNSName("gw.example"),
        x509.RFC822Name("a@b.example"),
        x509.IPAddress(address("10.0.0.1")),
        x509.IPAddress(address("fe80::1")),
        x509.UniformResourceIdentifier("ike://x"),
        x509.DirectoryName(maker.name("x")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
    ]
    extensions = [(x509.SubjectAlternativeName(names), False)]
    leaf = Certificate(maker.Party("gateway", extensions=extensions).der)
    found = [(tag, bytes(content)) for tag, content in leaf.alternatives()]
    assert found[:4] == [
        (0x82, b"gw.example"),
        (0x81, b"a@b.example"),
        (0x87, address("10.0.0.1").packed),
        (0x87, address("fe80::1").packed),
    ]
    assert len(found) == 8
    for text in ("gw.example", "a@b.example", "C=DE, O=Lab, CN=gateway"):
        assert name.matches(*dn.identity(text), leaf), text
    assert name.matches(name.ID_IPV4, address("10.0.0.1").packed, leaf)
    assert name.matches(name.ID_IPV6, address("fe80::1").packed, leaf)
    assert name.matches(name.ID_KEY_ID, leaf.ski, leaf)
    assert not name.matches(*dn.identity("C=DE, O=Lab, CN=x"), leaf), "a directoryName is no ID"
    assert not name.matches(name.ID_IPV4, address("10.0.0.2").packed, leaf)


def test_dn_as_the_other_library_writes_it():
    attributes = [
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Bayern"),
        (NameOID.ORGANIZATION_NAME, "Läb"),
        (NameOID.COMMON_NAME, "gw"),
        (NameOID.EMAIL_ADDRESS, "a@b.example"),
        (NameOID.DOMAIN_COMPONENT, "example"),
        (NameOID.SERIAL_NUMBER, "17"),
        (NameOID.USER_ID, "u"),
    ]
    theirs = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    text = "C=DE, ST=Bayern, O=Läb, CN=gw, E=a@b.example, DC=example, SN=17, UID=u"
    assert name.same(dn.encode(text), theirs.public_bytes())
    assert dn.text(theirs.public_bytes()) == text


def test_sizes_on_the_edge():
    for bits in (2048, 2056, 4096):
        leaf = maker.Party("gateway", key=maker.rsa_key(bits))
        assert Certificate(leaf.der).key.bits == bits
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        assert (
            Certificate(maker.Party("g", key=maker.ec_key(curve)).der).key.bits == curve.key_size
        )


def test_crl():
    ca = maker.authority("Root")
    serials = [1, 0x80, 0x7FFF, 1 << 150]
    crl = Crl(maker.crl(ca, serials))
    assert crl.issuer == Certificate(ca.der).subject
    assert crl.this_update == maker.unix(maker.NOW - maker.DAY)
    assert crl.next_update == maker.unix(maker.NOW + maker.DAY)
    for number in serials:
        encoded = number.to_bytes(number.bit_length() // 8 + 1, "big")
        assert crl.lists(encoded)
        assert not crl.lists((number + 1).to_bytes(number.bit_length() // 8 + 1, "big"))


def test_what_is_too_large_is_refused_though_it_is_good():
    ca = maker.authority("Root")
    anchors = [Certificate(ca.der)]

    def verdict(size):
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(size))
        leaf = maker.Party("gateway", ca, extensions=[(extension, False)])
        now = maker.unix(maker.NOW)
        found = refused(path.validate, [leaf.der], anchors, now, maker.verify)
        return found, len(leaf.der)

    code, size = verdict(3500)
    assert code is None and size < 4096
    code, size = verdict(4000)
    assert code == "too-large" and 4096 < size < 4500
    code, size = verdict(9600)
    assert code == "too-large" and 9900 < size < 10100

    def listed(count):
        encoded = maker.crl(ca, range(1 << 150, (1 << 150) + count))
        return refused(Crl, encoded), len(encoded)

    code, size = listed(400)
    assert code is None and size < 16384
    assert listed(450)[0] == "too-large"
