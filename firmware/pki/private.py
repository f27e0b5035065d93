"""Private keys: PKCS#8 (RFC 5958) of RSA (RFC 8017 appendix A.1.2) and EC (RFC 5915) keys."""

from pki import Refused, der
from pki.certificate import CURVES, RSA


def read(encoded):
    """("rsa", (n, e, p, q, dp, dq, qinv)), or (curve, private value): as the HAL signs with it.

    `encoded`: DER, not encrypted. The numbers are bytearrays of their own, to be wiped; Refused.
    """
    outer = der.only(encoded)
    if outer.small() > 1:
        raise Refused("unsupported-version")
    algorithm = bytes(outer.whole(der.SEQUENCE))
    inner = der.only(outer.take(der.OCTET_STRING))
    version = inner.small()
    if algorithm == RSA:
        if version != 0:  # more than two primes
            raise Refused("unsupported-version")
        numbers = [bytearray(der.unsigned(inner.integer())) for _ in range(8)]
        inner.end()
        del numbers[2]  # d: the primes do without
        return "rsa", tuple(numbers)
    if algorithm not in CURVES or version != 1:
        raise Refused("unsupported-algorithm")
    curve, bits = CURVES[algorithm]
    private = bytearray(inner.take(der.OCTET_STRING))
    if len(private) != (bits + 7) // 8:
        raise Refused("bad-key")
    return curve, private
