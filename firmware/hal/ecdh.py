"""Key pairs and shared secrets on the curves of Main Mode's groups: RFC 5903, RFC 7748.

Called by the Hal's methods; `hal` is that Hal. The point at infinity cannot be written as x || y,
and the ECP curves have no points of small order: being on the curve is all there is to check.
"""

from hal import HalError, PublicKeyError, curves

_MASK = 16  # random bytes that the coordinates are multiplied by


def pair(hal, curve):
    """(private bytearray, public bytes), fresh."""
    if curve == "curve25519":
        private = hal.random(32)
    else:
        private = scalar(hal, curve)
    return private, public(hal, curve, private)


def public(hal, curve, private):
    """The public value of a private key; ValueError if that is out of range."""
    check_private(curve, private)
    return bytes(_multiply(hal, curve, private, None))


def shared(hal, curve, private, peer):
    """The secret shared with the peer, a bytearray; PublicKeyError if its value is refused."""
    check_private(curve, private)
    check(curve, peer)
    secret = bytearray(_multiply(hal, curve, private, peer))
    if curve == "curve25519":
        # RFC 7748 section 6.1: the peer's point is of small order.
        if not any(secret):
            raise PublicKeyError("zero-secret")
        return secret
    return secret[: len(secret) // 2]  # RFC 5903 section 7: the x coordinate alone


def check(curve, peer):
    """PublicKeyError "length" or "off-curve" unless this is a public value of the curve."""
    if curve == "curve25519":
        if len(peer) != 32:
            raise PublicKeyError("length")
        return  # every 32 bytes are (RFC 7748 section 5)
    size, prime, b, _, _, _ = curves.weierstrass(curve)
    if len(peer) != 2 * size:
        raise PublicKeyError("length")
    p = curves.value(prime)
    x = int.from_bytes(peer[:size], "big")
    y = int.from_bytes(peer[size:], "big")
    if x >= p or y >= p:
        raise PublicKeyError("range")
    if (y * y - x * x * x + 3 * x - b) % p:
        raise PublicKeyError("off-curve")


def scalar(hal, curve):
    """A number from 1 to the order - 1, evenly, as a bytearray (FIPS 186-5, A.2.2)."""
    size, _, _, _, _, order = curves.weierstrass(curve)
    unused = 7 if curve == "ecp521" else 0
    for _ in range(64):  # fails once in 2^32 draws
        drawn = hal.random(size)
        drawn[0] &= 0xFF >> unused
        if 0 < int.from_bytes(drawn, "big") < order:
            return drawn
    raise HalError("random source gives no scalar")


def check_private(curve, private):
    """ValueError unless this is a private key of the curve."""
    if curve == "curve25519":
        good = len(private) == 32
    else:
        size, _, _, _, _, order = curves.weierstrass(curve)
        good = len(private) == size and 0 < int.from_bytes(private, "big") < order
    if not good:
        raise ValueError("private key out of range")


def _multiply(hal, curve, private, point):
    mask = hal.random(_MASK)
    return hal._run("ec", curve, curve, private, point, mask)
