"""Certificates made by the firmware's own encoder and signatures, on every interpreter.

For tests that need a CA where pyca/cryptography cannot be: what is odd about a certificate is
given, the rest is as it should be.
"""

from pki import certificate, der, dn, signature
from pki.encode import bits, element, integer

NOW = 1800000000  # 2027-01-15
PAST, FUTURE = b"250101000000Z", b"350101000000Z"

SUBJECT_ALT_NAME = b"\x55\x1d\x11"
BASIC_CONSTRAINTS = b"\x55\x1d\x13"
KEY_USAGE = b"\x55\x1d\x0f"


def extension(oid, value, critical=False):
    """One extension: `oid` and `value` are contents."""
    mark = element(der.BOOLEAN, b"\xff") if critical else b""
    return element(der.SEQUENCE, element(der.OID, oid), mark, element(der.OCTET_STRING, value))


def host(name):
    """The subjectAltName of a host's name."""
    return extension(SUBJECT_ALT_NAME, element(der.SEQUENCE, element(0x82, name)))


CA = extension(BASIC_CONSTRAINTS, element(der.SEQUENCE, element(der.BOOLEAN, b"\xff")), True)
MAY_SIGN_CERTIFICATES = extension(KEY_USAGE, element(der.BIT_STRING, b"\x01\x06"), True)
MAY_AGREE_ON_KEYS = extension(KEY_USAGE, element(der.BIT_STRING, b"\x03\x08"), True)


def ec_key(public, curve="ecp256"):
    """A SubjectPublicKeyInfo of x || y."""
    for algorithm, (name, _) in certificate.CURVES.items():
        if name == curve:
            return element(der.SEQUENCE, algorithm, bits(b"\4" + bytes(public)))
    raise ValueError("curve")


def rsa_key(n, e):
    """A SubjectPublicKeyInfo of big-endian numbers."""
    numbers = element(der.SEQUENCE, integer(n), integer(e))
    return element(der.SEQUENCE, certificate.RSA, bits(numbers))


class Authority:
    """A CA with a key of its own, on P-256. `hal`: signs. `name`: its DN as people write it."""

    def __init__(self, hal, name, issuer=None):
        self.hal = hal
        self.name = dn.encode(name)
        self.private, self.public = hal.ec_pair("ecp256")
        extensions = (CA, MAY_SIGN_CERTIFICATES)
        self.der = (issuer or self).issue(ec_key(self.public), self.name, extensions)

    def issue(
        self, spki, subject=None, extensions=(), serial=1, begin=PAST, end=FUTURE, signer=None
    ):
        """A certificate (DER). `signer`: whose key signs it, this CA's unless given."""
        subject = dn.encode("CN=branch") if subject is None else subject
        times = [element(der.UTC_TIME, time) for time in (begin, end)]
        listed = element(0xA3, element(der.SEQUENCE, *extensions)) if extensions else b""
        algorithm = certificate.algorithm_of("ec", "sha256")
        tbs = element(
            der.SEQUENCE,
            b"\xa0\x03\x02\x01\x02",
            element(der.INTEGER, bytes((serial,))),
            algorithm,
            self.name,
            element(der.SEQUENCE, *times),
            subject,
            spki,
            listed,
        )
        private = (signer or self).private
        _, made = signature.signer(self.hal, "ecp256", private)(tbs)
        return element(der.SEQUENCE, tbs, algorithm, bits(made))
