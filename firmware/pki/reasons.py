"""What each code of `pki.Refused` means: a sentence, and the notification (RFC 2408 3.14.1)."""

from micropython import const

_ID = const(18)  # INVALID-ID-INFORMATION
_ENCODING = const(19)  # INVALID-CERT-ENCODING
_CERTIFICATE = const(20)  # INVALID-CERTIFICATE
_AUTHORITY = const(22)  # INVALID-CERT-AUTHORITY

_REASONS = {
    "algorithm-mismatch": (_ENCODING, "a certificate names two different signature algorithms"),
    "bad-extended-key-usage": (_CERTIFICATE, "the peer's certificate is for other uses than IKE"),
    "bad-key": (_CERTIFICATE, "a certificate has an improper public key"),
    "bad-signature": (_CERTIFICATE, "the signature on a certificate or a CRL is wrong"),
    "clock-unset": (_CERTIFICATE, "the clock is not set, so that no certificate can be checked"),
    "constraints": (_CERTIFICATE, "constraints of names or policies are not supported"),
    "critical-extension": (_CERTIFICATE, "a critical extension is not known here"),
    "expired": (_CERTIFICATE, "a certificate has expired"),
    "loop": (_AUTHORITY, "the certificates lead round in a circle"),
    "malformed-der": (_ENCODING, "a certificate or a CRL is malformed"),
    "missing-key-usage": (_CERTIFICATE, "the keyUsage of a certificate does not allow it"),
    "no-certificate": (_CERTIFICATE, "the peer has sent no certificate"),
    "no-crl": (_CERTIFICATE, "a CRL is required, and there is none"),
    "not-a-ca": (_AUTHORITY, "the issuer of a certificate is not a CA"),
    "not-yet-valid": (_CERTIFICATE, "a certificate is not valid yet"),
    "path-too-long": (_AUTHORITY, "the path to the CA is too long"),
    "revoked": (_CERTIFICATE, "a certificate was revoked"),
    "stale-crl": (_CERTIFICATE, "the CRL is out of date"),
    "too-large": (_ENCODING, "a certificate or a CRL is too large"),
    "too-many": (_CERTIFICATE, "there are too many certificates"),
    "unknown-ca": (_AUTHORITY, "no trusted CA has issued the peer's certificate"),
    "unsupported-algorithm": (_CERTIFICATE, "a key or signature algorithm is not supported"),
    "unsupported-version": (_ENCODING, "a certificate or a CRL is of an unsupported version"),
    "weak-hash": (_CERTIFICATE, "the hash in a signature is too weak"),
    "weak-key": (_CERTIFICATE, "a key is too short"),
    "wrong-name": (_ID, "the identity is not in the peer's certificate"),
}
CODES = tuple(_REASONS)


def notification(code):
    """The notify message type that tells a peer."""
    return _REASONS[code][0]


def sentence(code):
    """For the reason of a failure, without a full stop."""
    return _REASONS[code][1]
