"""Makes certificates, proper ones and others, with pyca/cryptography and a knife (`tree`)."""

import datetime
import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from certificates import tree
from ikelet.pki import usage as usage

NOW = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
CRITICAL_UNKNOWN = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\0"
)

CURVES = {"ecp256": ec.SECP256R1(), "ecp384": ec.SECP384R1(), "ecp521": ec.SECP521R1()}
_RSA, _ECDSA = bytes.fromhex("2a864886f70d0101"), bytes.fromhex("2a8648ce3d0403")
DIGESTS = {
    _RSA + b"\x04": hashes.MD5(),
    _RSA + b"\x05": hashes.SHA1(),
    _RSA + b"\x0b": hashes.SHA256(),
    _RSA + b"\x0c": hashes.SHA384(),
    _RSA + b"\x0d": hashes.SHA512(),
    _ECDSA + b"\x02": hashes.SHA256(),
    _ECDSA + b"\x03": hashes.SHA384(),
    _ECDSA + b"\x04": hashes.SHA512(),
}


def unix(moment):
    return int(moment.timestamp())


def ec_key(curve=None):
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key(bits=2048):
    return rsa.generate_private_key(65537, bits)


def name(common, *more):
    attributes = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lab"),
        *more,
        x509.NameAttribute(NameOID.COMMON_NAME, common),
    ]
    return x509.Name(attributes)


class Party:
    """A key with a name, and what it has issued: a CA, an intermediate, or a gateway."""

    def __init__(self, common, issuer=None, key=None, **options):
        self.name = name(common) if isinstance(common, str) else common
        self.key = key or ec_key()
        self.issuer = issuer or self
        self.der = issue(self, self.issuer, **options)


def authority(common, issuer=None, key=None, pathlen=None, **options):
    """A CA with all that belongs to one; `options` as of `issue`."""
    extensions = [
        (x509.BasicConstraints(True, pathlen), True),
        (usage("key_cert_sign", "crl_sign"), True),
    ]
    options.setdefault("extensions", extensions)
    return Party(common, issuer, key, **options)


def issue(
    subject,
    issuer,
    extensions=None,
    since=NOW - 30 * DAY,
    until=NOW + 30 * DAY,
    digest=None,
    identifiers=True,
    pss=False,
):
    """`subject`'s certificate by `issuer`, both Parties; DER."""
    if extensions is None:
        names = x509.SubjectAlternativeName([x509.DNSName("gateway.example")])
        extensions = [(usage("digital_signature"), True), (names, False)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject.name)
        .issuer_name(issuer.name)
        .public_key(subject.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )
    if identifiers:
        own = x509.SubjectKeyIdentifier.from_public_key(subject.key.public_key())
        other = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        extensions = [*extensions, (own, False), (other, False)]
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    options = {}
    if pss:
        options["rsa_padding"] = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    made = builder.sign(issuer.key, digest or hashes.SHA256(), **options)
    return made.public_bytes(serialization.Encoding.DER)


def sign(key, message, digest=None):
    digest = digest or hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), digest)
    return key.sign(message, ec.ECDSA(digest))


def signed(public, algorithm, message, signature):
    """True if the signature is `public`'s; `algorithm` is the tree of its AlgorithmIdentifier."""
    digest = DIGESTS[algorithm[1][0][1]]
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, message, padding.PKCS1v15(), digest)
        else:
            public.verify(signature, message, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def verify(key, name, message, signature):
    """What `pki.path` asks of the HAL, by pyca/cryptography."""
    digest = getattr(hashes, name.upper())()
    try:
        if key.kind == "rsa":
            public_key(key).verify(bytes(signature), message, padding.PKCS1v15(), digest)
        else:
            public_key(key).verify(bytes(signature), message, ec.ECDSA(digest))
    except (InvalidSignature, ValueError):
        return False
    return True


def public_key(key):
    """A `pki.certificate.Key` for pyca/cryptography; ValueError where it is none."""
    if key.kind == "rsa":
        modulus, exponent = [int.from_bytes(part, "big") for part in key.public]
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    point = b"\x04" + bytes(key.public)
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVES[key.curve], point)


def recut(der, change, key, digest=None):
    """A certificate or CRL, changed by `change(fields of the tbs as a tree)` and signed anew."""
    outer = tree.parse(der)
    change(outer[0][1][0][1])
    return resigned(outer, key, digest)


def resigned(outer, key, digest=None):
    fields = outer[0][1]
    fields[2][1] = b"\0" + sign(key, tree.encode([fields[0]]), digest)
    return tree.encode(outer)


def crl(
    issuer, revoked=(), since=NOW - DAY, until=NOW + DAY, extensions=(), entry=(), digest=None
):
    """A CRL of `issuer` that lists the serial numbers `revoked`; DER."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.name)
    builder = builder.last_update(since).next_update(until)
    other = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    for extension, critical in [(other, False), (x509.CRLNumber(7), False), *extensions]:
        builder = builder.add_extension(extension, critical)
    for number in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(since)
        for extension, critical in entry:
            one = one.add_extension(extension, critical)
        builder = builder.add_revoked_certificate(one.build())
    made = builder.sign(issuer.key, digest or hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def serial(der):
    return x509.load_der_x509_certificate(der).serial_number


def public_bytes(key):
    """A public key as `pki.certificate.Key.public` has it, RSA's numbers joined."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        width = (numbers.n.bit_length() + 7) // 8
        return numbers.n.to_bytes(width, "big") + numbers.e.to_bytes(3, "big")
    form = serialization.PublicFormat.UncompressedPoint
    return key.public_bytes(serialization.Encoding.X962, form)[1:]


def mark(public, message, signature):
    """The name under which the vectors remember that a signature is good."""
    parts = [hashlib.sha256(part).digest() for part in (public, message, signature)]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
