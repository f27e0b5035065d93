"""A small PKI for labs: CAs, certificates for devices and gateways, revocation lists.

Its keys lie in files, unencrypted: nothing that is worth protecting should trust it.
"""

import datetime
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from ikelet.errors import MisuseError

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

KEYS = ("ecdsa256", "ecdsa384", "ecdsa521", "rsa2048", "rsa3072", "rsa4096")
DAY = datetime.timedelta(days=1)
_CURVES = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "521": ec.SECP521R1()}
_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "SN": NameOID.SERIAL_NUMBER,
    "E": NameOID.EMAIL_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
}
_TEXT = {oid: text for text, oid in _ATTRIBUTES.items()}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass
class Identity:
    """A certificate, its key, and the intermediates up to the root, which is not among them.

    The key is None where it is another's: of a certificate made for a request.
    """

    certificate: x509.Certificate
    key: Key | None
    chain: list[x509.Certificate] = field(default_factory=list)

    def signing_key(self) -> Key:
        if self.key is None:
            raise MisuseError(f"the key of {text(self.certificate.subject)} is not here")
        return self.key

    def is_root(self) -> bool:
        return self.certificate.issuer == self.certificate.subject


class Validity:
    """From an hour ago, for clocks that are late, to `days` from now; negative: expired since."""

    def __init__(self, days: float) -> None:
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self.end = now + days * DAY
        self.start = min(now - DAY / 24, self.end - DAY)


def new_key(kind: str) -> Key:
    """A private key, `kind` being one of KEYS."""
    if kind not in KEYS:
        raise MisuseError(f"no kind of key: {kind}; there are {', '.join(KEYS)}")
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key(_CURVES[kind[5:]])


def name(given: str) -> x509.Name:
    """The name that "C=DE, O=Lab, CN=gateway" spells, in this order; a backslash quotes."""
    attributes = []
    for part in _parts(given):
        kind, equals, value = part.partition("=")
        oid = _ATTRIBUTES.get(kind.strip().upper())
        if not equals or oid is None:
            kinds = ", ".join(_ATTRIBUTES)
            raise MisuseError(f"not a name: {given!r}; it is like C=DE, O=Lab, CN=x, of {kinds}")
        try:
            attributes.append(x509.NameAttribute(oid, value.strip()))
        except ValueError as error:
            raise MisuseError(f"not a name: {given!r}: {error}") from error
    return x509.Name(attributes)


def text(given: x509.Name) -> str:
    """The inverse of `name`."""
    parts = []
    for attribute in given:
        value = str(attribute.value).replace("\\", "\\\\").replace(",", "\\,")
        parts.append(f"{_TEXT.get(attribute.oid, attribute.oid.dotted_string)}={value}")
    return ", ".join(parts)


def alternative(identity: str) -> x509.GeneralName:
    """The subjectAltName of an IKE identity: an address, a mail address or a host's name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(identity))
    except ValueError:
        pass
    try:
        if "@" in identity.lstrip("@"):
            return x509.RFC822Name(identity)
        return x509.DNSName(identity.lstrip("@"))
    except ValueError as error:
        raise MisuseError(f"not an identity: {identity!r}: {error}") from error


def make_ca(
    subject: x509.Name,
    key: Key,
    valid: Validity,
    issuer: Identity | None = None,
    pathlen: int | None = None,
) -> Identity:
    """A CA: a root, or an intermediate where there is an `issuer`."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(True, pathlen), True),
        (usage("key_cert_sign", "crl_sign"), True),
    ]
    return _issue(subject, key.public_key(), key, issuer, valid, extensions)


def make_device(
    subject: x509.Name, key: Key, valid: Validity, issuer: Identity, names: Sequence[str] = ()
) -> Identity:
    """A certificate for a gateway or device whose IKE identities are its subject and `names`."""
    return _issue(subject, key.public_key(), key, issuer, valid, _for_device(names))


def answer(
    request: x509.CertificateSigningRequest,
    valid: Validity,
    issuer: Identity,
    names: Sequence[str] | None = None,
) -> Identity:
    """The certificate for a request (PKCS #10), with its names unless others are given."""
    try:
        good = request.is_signature_valid
    except (InvalidSignature, ValueError):
        good = False
    public = request.public_key()
    if not good or not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise MisuseError("the request is not signed with its own key, or the key is of no use")
    extensions = _for_device(names or ())
    if names is None:
        try:
            wanted = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            extensions.append((wanted.value, False))
        except x509.ExtensionNotFound:
            pass
    return _issue(request.subject, public, None, issuer, valid, extensions)


def make_crl(
    issuer: Identity, revoked: Mapping[int, datetime.datetime], valid: Validity, number: int
) -> bytes:
    """A CRL (PEM) of a CA; `revoked`: serial number -> since when."""
    key = issuer.signing_key()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(valid.start)
        .next_update(valid.end)
        .add_extension(_authority(issuer.certificate), False)
        .add_extension(x509.CRLNumber(number), False)
    )
    for serial, since in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, _hash(key)).public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key) -> bytes:
    """PKCS #8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def bundle(identity: Identity, cas: Sequence[x509.Certificate], password: bytes) -> bytes:
    """PKCS #12 of a key, its certificate and the CAs above it; empty password: not encrypted."""
    algorithm: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        algorithm = serialization.BestAvailableEncryption(password)
    friendly = text(identity.certificate.subject).encode()
    above = [*identity.chain, *cas]
    return pkcs12.serialize_key_and_certificates(
        friendly, identity.signing_key(), identity.certificate, above, algorithm
    )


def _issue(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    key: Key | None,
    issuer: Identity | None,
    valid: Validity,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> Identity:
    signer = issuer.signing_key() if issuer else key
    assert signer is not None, "a root has its key"
    above = issuer.certificate.subject if issuer else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid.start)
        .not_valid_after(valid.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    )
    if issuer:
        builder = builder.add_extension(_authority(issuer.certificate), False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    chain = []
    if issuer and not issuer.is_root():
        chain = [issuer.certificate, *issuer.chain]
    return Identity(builder.sign(signer, _hash(signer)), key, chain)


def _for_device(names: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(False, None), True),
        (usage("digital_signature", "content_commitment"), True),
    ]
    if names:
        extensions.append((x509.SubjectAlternativeName(map(alternative, names)), False))
    return extensions


def _authority(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        public = issuer.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def usage(*bits: str) -> x509.KeyUsage:
    """With these bits set, called as the library calls them."""
    return x509.KeyUsage(*(bit in bits for bit in _USAGES))


def _hash(key: Key) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """As strong as the key."""
    if isinstance(key, rsa.RSAPrivateKey) or key.curve.key_size == 256:
        return hashes.SHA256()
    return hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA512()


def _parts(given: str) -> list[str]:
    parts, quoted = [""], False
    for character in given:
        if character == "," and not quoted:
            parts.append("")
        elif character == "\\" and not quoted:
            quoted = True
            continue
        else:
            parts[-1] += character
        quoted = False
    return parts
