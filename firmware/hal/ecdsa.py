"""ECDSA (FIPS 186-5 section 6) with signatures as r || s of fixed width (RFC 4754 section 7).

Called by the Hal's methods; `hal` is that Hal. Nonces are RFC 6979's, with fresh random bytes as
additional input (its section 3.6): neither a weak random source nor a repeated fault gives the key
away. Its HMAC is always SHA-256's, whose 256 bits of strength are those of the largest curve.
"""

from hal import HalError, PublicKeyError, curves, ecdh, wipe
from hal.modular import inverse

_EXTRA = 32


def sign(hal, curve, private, digest, extra=None):
    """r || s as bytes. `extra` is the additional input of the nonce, fresh unless given.

    ValueError: private key out of range. HalError: s came out differently the second time. (That
    r is right its point says, which must be one of the curve.)
    """
    ecdh.check_private(curve, private)
    if extra is None:
        extra = hal.random(_EXTRA)
    size, _, _, _, _, n = curves.weierstrass(curve)
    for k in nonces(hal, "sha256", n, private, digest, extra):
        r = int.from_bytes(ecdh.public(hal, curve, k)[:size], "big") % n
        s = _s(hal, curve, n, k, private, digest, r)
        if s != _s(hal, curve, n, k, private, digest, r):
            raise HalError("signature comes out differently")
        wipe(k)
        if r and s:
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _s(hal, curve, n, k, private, digest, r):
    """k^-1 * (h + r d) mod n, as (k b)^-1 * (b h + b r d) with a random b: all is blinded."""
    b = ecdh.scalar(hal, curve)
    blind = int.from_bytes(b, "big")
    wipe(b)
    k = inverse(int.from_bytes(k, "big") * blind % n, n)
    d = int.from_bytes(private, "big")
    return k * (blind * _number(digest, n) + blind * r % n * d) % n


def verify(hal, curve, public, digest, signature):
    """True if this is the signature of the digest by the holder of the public key x || y."""
    size, _, _, _, _, n = curves.weierstrass(curve)
    try:
        ecdh.check(curve, public)
    except PublicKeyError:
        return False
    if len(signature) != 2 * size:
        return False
    r = int.from_bytes(signature[:size], "big")
    s = int.from_bytes(signature[size:], "big")
    if not (0 < r < n and 0 < s < n):
        return False
    w = inverse(s, n)
    u = (_number(digest, n) * w % n).to_bytes(size, "big")
    v = (r * w % n).to_bytes(size, "big")
    point = hal._run("ec_sum", curve, curve, u, v, public)
    return point is not None and int.from_bytes(point[:size], "big") % n == r


def nonces(hal, name, n, private, digest, extra=b""):
    """The candidates of RFC 6979 section 3.2 for an order n, as bytearrays, one after the other.

    `name` is the hash of its HMAC; `extra` the k' of section 3.6.
    """
    size = len(private)
    h = (_number(digest, n) % n).to_bytes(size, "big")  # bits2octets
    v = bytearray(b"\1" * len(hal.hash(name)))
    key = bytearray(len(v))
    for mark in (b"\0", b"\1"):
        key = hal.hmac(name, key, v, mark, private, h, extra)
        v = hal.hmac(name, key, v)
    while True:
        t = bytearray()
        while len(t) < size:
            v = hal.hmac(name, key, v)
            t += v
        k = _number(t, n)
        wipe(t)
        if 0 < k < n:
            yield bytearray(k.to_bytes(size, "big"))
        key = hal.hmac(name, key, v, b"\0")
        v = hal.hmac(name, key, v)


def _number(data, n):
    """bits2int: the leftmost bits of the data, as many as n has."""
    bits = 521 if n >> 520 else 384 if n >> 256 else 256
    number = int.from_bytes(data, "big")
    return number >> max(0, 8 * len(data) - bits)


def to_der(curve, signature):
    """SEQUENCE { INTEGER r, INTEGER s } (RFC 3279 section 2.2.3) of r || s."""
    body = b""
    size = curves.weierstrass(curve)[0]
    for number in (signature[:size], signature[size:]):
        number = bytes(number).lstrip(b"\0")
        if not number or number[0] & 0x80:
            number = b"\0" + number
        body += bytes((2, len(number))) + number
    return (b"\x30\x81" if len(body) > 127 else b"\x30") + bytes((len(body),)) + body


def from_der(curve, der):
    """r || s of SEQUENCE { INTEGER r, INTEGER s }; ValueError unless it is DER, and fits."""
    size = curves.weierstrass(curve)[0]
    at = 3 if len(der) > 130 else 2
    numbers = []
    for _ in range(2):
        length = der[at + 1] if at + 1 < len(der) else 0
        number = bytes(der[at + 2 : at + 2 + length]).lstrip(b"\0")
        if len(number) > size:
            raise ValueError("signature out of range")
        numbers.append(bytes(size - len(number)) + number)
        at += 2 + length
    signature = numbers[0] + numbers[1]
    # There is one encoding only: whatever is not it is refused.
    if to_der(curve, signature) != bytes(der):
        raise ValueError("signature is not DER")
    return signature
