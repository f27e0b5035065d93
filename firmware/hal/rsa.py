"""RSA signatures, PKCS#1 v1.5 (RFC 8017 section 8.2), with and without a DigestInfo.

Called by the Hal's methods; `hal` is that Hal. A public key is (n, e), a private one (n, e, p, q,
dp, dq, qinv) as in RFC 8017 appendix A.1.2: big-endian, without leading zeros. IKEv1 signs its
HASH without a DigestInfo (RFC 2409 section 5.1); certificates and their requests have one.
"""

from binascii import unhexlify

from micropython import const

from hal import HalError, PublicKeyError, equal, wipe
from hal.modular import inverse

_MIN_BITS = const(2048)
_MAX_BITS = const(4096)

# DER of the DigestInfo up to the digest, which ends it (RFC 8017 section 9.2, note 1).
_DIGEST_INFO = {
    "sha1": b"3021300906052b0e03021a05000414",
    "sha256": b"3031300d060960864801650304020105000420",
    "sha384": b"3041300d060960864801650304020205000430",
    "sha512": b"3051300d060960864801650304020305000440",
}


def sign(hal, key, data, name=None):
    """The signature of `data`, a digest of the hash called `name`, or, without one, anything.

    ValueError: not a key, or data too long for it. HalError: the result does not verify, as after
    a fault: nothing of it is returned (it would give the key away).
    """
    n, e, p, q, dp, dq, qinv = key
    try:
        check((n, e))
    except PublicKeyError as error:
        raise ValueError("RSA key: " + error.code)
    encoded = _encode(data, name, len(n))
    if encoded is None:
        raise ValueError("too much to sign with this key")
    modulus = int.from_bytes(n, "big")
    # Blinded: what the private key works on is m * r^e, a number that nobody knows.
    blind, unblind = _unit(hal, modulus)
    factor = int.from_bytes(hal.modexp(blind, e, n), "big")
    wipe(blind)
    blinded = int.from_bytes(encoded, "big") * factor % modulus
    # RFC 8017 section 5.2.1, step 2b.
    sp = _half(hal, blinded, dp, p)
    sq = _half(hal, blinded, dq, q)
    pp = int.from_bytes(p, "big")
    h = (sp - sq) * int.from_bytes(qinv, "big") % pp
    s = (sq + h * int.from_bytes(q, "big")) * unblind % modulus
    signature = s.to_bytes(len(n), "big")
    if not verify(hal, (n, e), data, signature, name):
        raise HalError("signature does not verify")
    return signature


def verify(hal, public, data, signature, name=None):
    """True if this is the signature of `data` (see sign) by the holder of the public key."""
    n, e = public
    try:
        check(public)
    except PublicKeyError:
        return False
    expected = _encode(data, name, len(n))
    if expected is None or len(signature) != len(n):
        return False
    if not any(signature) or bytes(signature) >= bytes(n):
        return False
    found = hal.modexp(signature, e, n)
    # The whole encoding, rebuilt: nothing of what the peer sent is parsed.
    return equal(found, expected)


def check(public):
    """PublicKeyError "size", "even" or "exponent" unless this is a key to be trusted.

    2048 to 4096 bits, in whole bytes as the accelerators want it; an odd exponent of 3 to 32 bits.
    """
    n, e = public
    if not _MIN_BITS <= 8 * len(n) <= _MAX_BITS or not n[0] & 0x80:
        raise PublicKeyError("size")
    if not n[-1] & 1:
        raise PublicKeyError("even")
    if not 0 < len(e) <= 4 or not e[0] or not e[-1] & 1 or bytes(e) == b"\1":
        raise PublicKeyError("exponent")


def _encode(data, name, size):
    """The encoded message of `size` bytes (RFC 8017 section 9.2), or None if there is no room."""
    if name is None:
        prefix = b""
    elif name in _DIGEST_INFO:
        prefix = unhexlify(_DIGEST_INFO[name])
        if len(data) != prefix[-1]:
            raise ValueError("not a digest of that hash")
    else:
        raise ValueError("unknown hash")
    padding = size - 3 - len(prefix) - len(data)
    if padding < 8:
        return None
    return b"\0\1" + b"\xff" * padding + b"\0" + prefix + bytes(data)


def _unit(hal, modulus):
    """(a random number as a bytearray, its inverse as an integer): 256 bits, as the inverse of a
    longer one takes Euclid's algorithm that much longer."""
    while True:
        drawn = hal.random(32)
        unblind = inverse(int.from_bytes(drawn, "big"), modulus)
        if unblind:
            return drawn, unblind


def _half(hal, number, exponent, prime):
    """number ** exponent mod prime, an integer; the exponent's own length is not seen."""
    size = len(prime)
    base = bytearray((number % int.from_bytes(prime, "big")).to_bytes(size, "big"))
    secret = bytearray(size)
    secret[size - len(exponent) :] = exponent
    power = hal.modexp(base, secret, prime)
    wipe(base)
    wipe(secret)
    number = int.from_bytes(power, "big")
    wipe(power)
    return number
