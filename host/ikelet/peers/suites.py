"""Ciphers, hashes and groups by their proposal names, with their IANA numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from .base import PeerError


@dataclass(frozen=True)
class Cipher:
    """`number` is the attribute value of RFC 2409 A, RFC 3602; sizes are in octets."""

    name: str
    number: int
    key_size: int
    block_size: int
    variable_key: bool


@dataclass(frozen=True)
class Group:
    """A MODP group; the generator is 2 in all of them."""

    name: str
    number: int
    bits: int
    constant: int

    @property
    def size(self) -> int:
        """Octets of a public value, which is always padded to the prime's length."""
        return self.bits // 8

    @property
    def prime(self) -> int:
        return modp_prime(self.bits, self.constant)


@dataclass(frozen=True)
class Curve:
    """A curve; `size` octets are a public value: x | y (RFC 5903 7), of x25519 u (RFC 8031)."""

    name: str
    number: int
    size: int


CIPHERS = {
    cipher.name: cipher
    for cipher in (
        Cipher("aes128", 7, 16, 16, True),
        Cipher("aes192", 7, 24, 16, True),
        Cipher("aes256", 7, 32, 16, True),
        Cipher("3des", 5, 24, 8, False),
    )
}

HASHES = {"md5": 1, "sha1": 2, "sha256": 4, "sha384": 5, "sha512": 6}

# The last column is the constant that RFC 2409 6.2 and RFC 3526 add to pi.
GROUPS: dict[str, Group | Curve] = {
    group.name: group
    for group in (
        Group("modp1024", 2, 1024, 129093),
        Group("modp1536", 5, 1536, 741804),
        Group("modp2048", 14, 2048, 124476),
        Group("modp3072", 15, 3072, 1690314),
        Group("modp4096", 16, 4096, 240904),
        Group("modp6144", 17, 6144, 929484),
        Group("modp8192", 18, 8192, 4743158),
        Curve("ecp256", 19, 64),
        Curve("ecp384", 20, 96),
        Curve("ecp521", 21, 132),
        Curve("curve25519", 31, 32),
    )
}


@dataclass(frozen=True)
class Suite:
    """What one ISAKMP transform says."""

    cipher: Cipher
    hash: str
    group: Group | Curve

    def __str__(self) -> str:
        return f"{self.cipher.name}-{self.hash}-{self.group.name}"


def parse(proposal: str) -> Suite:
    """ "aes256-sha256-modp2048" as a Suite; PeerError names the part that is not known."""
    parts = proposal.split("-")
    if len(parts) != 3:
        raise PeerError(f'proposal "{proposal}" is not spelled cipher-hash-group')
    tables: tuple[Iterable[str], ...] = CIPHERS, HASHES, GROUPS
    for part, known in zip(parts, tables, strict=True):
        if part not in known:
            raise PeerError(f'proposal "{proposal}": "{part}" is not one of {", ".join(known)}')
    return Suite(CIPHERS[parts[0]], parts[1], GROUPS[parts[2]])


@cache
def modp_prime(bits: int, constant: int) -> int:
    """The prime 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + constant).

    Computed from the formula rather than copied (RFC 2409 6.2, RFC 3526), so that a slip in
    another table of primes cannot be repeated here.
    """
    return (1 << bits) - (1 << bits - 64) - 1 + ((_pi(bits - 130) + constant) << 64)


def _pi(bits: int) -> int:
    """floor(2^bits * pi) by Machin's formula."""
    guard = 64
    one = 1 << bits + guard
    return 4 * (4 * _arctan_inverse(5, one) - _arctan_inverse(239, one)) >> guard


def _arctan_inverse(x: int, one: int) -> int:
    """arctan(1/x), scaled by `one`, by its power series."""
    power = total = one // x
    divisor, sign = 1, 1
    while power:
        power //= x * x
        divisor, sign = divisor + 2, -sign
        total += sign * (power // divisor)
    return total
