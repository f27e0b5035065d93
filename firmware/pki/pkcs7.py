"""Certificates wrapped in PKCS #7 (RFC 2315), as in CERT payloads of encoding 1 (RFC 2408 3.9).

The signatures of SignedData, if it has any, are of no interest: certificates have their own.
"""

from pki import Refused, der
from pki.path import MAX_CERTIFICATES

_SIGNED_DATA = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"


def certificates(data):
    """The certificates (DER, memoryviews of `data`) of a ContentInfo with SignedData; Refused."""
    info = der.only(data)
    if info.oid() != _SIGNED_DATA:
        raise Refused("unsupported-algorithm")
    signed = der.only(info.take(0xA0))
    info.end()
    signed.integer()
    signed.take(der.SET)  # digest algorithms
    signed.take(der.SEQUENCE)  # what was signed
    found = []
    if signed.peek() == 0xA0:
        listed = signed.enter(0xA0)
        while listed.more():
            if len(found) == MAX_CERTIFICATES:
                raise Refused("too-many")
            found.append(listed.whole(der.SEQUENCE))
    signed.optional(0xA1)  # CRLs
    signed.take(der.SET)  # signers
    signed.end()
    return found
