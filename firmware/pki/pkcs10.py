"""A request for a certificate (RFC 2986), so that the private key need not leave the board."""

from micropython import const

from pki import der
from pki.certificate import CURVES, RSA, algorithm_of
from pki.encode import bits, element, integer

_EXTENSION_REQUEST = const(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")
_SUBJECT_ALT_NAME = const(b"\x06\x03\x55\x1d\x11")


def request(subject, key, sign, names=()):
    """A CertificationRequest, DER.

    subject: a Name (DER). key: `kind`, `curve`, `public` as a `pki.certificate.Key` has them.
    sign(message) -> (its hash's name, signature as X.509 has it): see `pki.signature.signer`.
    names: [(type, data)] of IKE identities to put into the subjectAltName.
    """
    info = element(
        der.SEQUENCE,
        b"\x02\x01\x00",
        subject,
        public_key(key),
        element(0xA0, _extension_request(names) if names else b""),
    )
    name, signature = sign(info)
    return element(der.SEQUENCE, info, algorithm_of(key.kind, name), bits(signature))


def public_key(key):
    """The SubjectPublicKeyInfo of a key, DER."""
    if key.kind == "rsa":
        modulus, exponent = key.public
        numbers = element(der.SEQUENCE, integer(modulus), integer(exponent))
        return element(der.SEQUENCE, RSA, bits(numbers))
    for algorithm, (curve, _) in CURVES.items():
        if curve == key.curve:
            return element(der.SEQUENCE, algorithm, bits(b"\x04" + bytes(key.public)))
    raise ValueError("curve")


def _extension_request(names):
    from pki.name import ALTERNATIVES

    general = [element(ALTERNATIVES[kind], data) for kind, data in names]
    value = element(der.OCTET_STRING, element(der.SEQUENCE, *general))
    extension = element(der.SEQUENCE, _SUBJECT_ALT_NAME, value)
    listed = element(der.SET, element(der.SEQUENCE, extension))
    return element(der.SEQUENCE, _EXTENSION_REQUEST, listed)
