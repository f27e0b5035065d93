"""Diffie-Hellman by group: MODP (RFC 2409 section 6, RFC 3526), by the formula that defines the
primes, and the HAL's curves (RFC 5903, RFC 8031)."""

from hal import PublicKeyError
from ike.registry import GROUPS
from ike.wire import Drop

_cache = {}


def _arctan_inverse(x, one):
    """arctan(1/x) in fixed point, where `one` stands for 1 (Gregory's series)."""
    total = term = one // x
    square = x * x
    n = 1
    while term:
        term //= square
        n += 2
        total += term // n if n & 2 == 0 else -(term // n)
    return total


def _floor_pi(bits):
    """floor(2^bits * pi) by Machin's formula, pi/4 = 4 arctan(1/5) - arctan(1/239)."""
    guard = 64  # the series lose less than a bit a term, so fewer than 12
    one = 1 << (bits + guard)
    return (16 * _arctan_inverse(5, one) - 4 * _arctan_inverse(239, one)) >> guard


def prime(name):
    """The prime of a MODP group, big-endian bytes of the group's length.

    p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + c)     (RFC 3526 sections 2 to 7)

    Computed on first use and kept: one object a group, so that engines may cache by identity.
    """
    p = _cache.get(name)
    if p is None:
        _, n, c, _ = GROUPS[name]
        value = (1 << n) - (1 << (n - 64)) - 1 + ((_floor_pi(n - 130) + c) << 64)
        p = _cache[name] = value.to_bytes(n // 8, "big")
    return p


def make_pair(hal, name):
    """(private value, public value as KE carries it) for one exchange."""
    _, bits, c, exponent_bits = GROUPS[name]
    if c is None:
        return hal.ec_pair(name)
    x = hal.random(exponent_bits // 8)
    x[0] |= 0x80  # the full width, whatever the draw
    return x, bytes(hal.modexp(b"\2", x, prime(name)))


def check(hal, name, public):
    """Refuse a public value that leaves the group or gives the secret away: Drop
    (RFC 2631 section 2.1.5, RFC 5903 section 7, RFC 6989)."""
    _, bits, c, _ = GROUPS[name]
    if len(public) != bits // 8:
        raise Drop("bad-ke-length")
    if c is None:
        try:
            hal.ec_check(name, public)
        except PublicKeyError:
            raise Drop("bad-ke-value")
    elif not 1 < int.from_bytes(public, "big") < int.from_bytes(prime(name), "big") - 1:
        raise Drop("bad-ke-value")


def shared(hal, name, private, public):
    """g^xy: as long as the prime; of a point, x alone (RFC 5903 section 7). A bytearray."""
    if GROUPS[name][2] is None:
        return hal.ecdh(name, private, public)
    return hal.modexp(public, private, prime(name))
