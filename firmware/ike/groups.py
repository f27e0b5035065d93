"""The MODP groups of RFC 2409 section 6 and RFC 3526, by the formula that defines their primes."""

from ike.registry import GROUPS

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
