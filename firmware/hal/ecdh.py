"""Key pairs and shared secrets on the curves of Main Mode's groups: RFC 5903, RFC 7748.

Called by the Hal's methods; `hal` is that Hal. The point at infinity cannot be written as x || y,
and the ECP curves have no points of small order: being on the curve is all there is to check.
"""

from hal import HalError, PublicKeyError, curves

_MASK = 16  # random bytes that the coordinates are multiplied by
_ORDER_8 = (
    (
        b"\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a"
        b"\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00"
    ),
    (
        b"\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b"
        b"\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57"
    ),
)


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
    """PublicKeyError unless this is a public value of the curve that gives a secret."""
    if curve == "curve25519":
        if len(peer) != 32:
            raise PublicKeyError("length")
        # All 32 bytes are one (RFC 7748 section 5), those of a small order give zero (section 7):
        # u of 0, 1, -1, and the two of order 8, in every spelling.
        p = (1 << 255) - 19
        u = (int.from_bytes(peer, "little") & (1 << 255) - 1) % p
        if u in (0, 1, p - 1) or u.to_bytes(32, "little") in _ORDER_8:
            raise PublicKeyError("zero-secret")
        return
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
