"""Modular exponentiation where what is free of the heap lies in pieces too small for a product.

No number is longer than the modulus and _PIECE: a product is summed up piece by piece. It takes
twice as long as software_modexp's, with the same limits to its constant time. Loaded when needed.
"""

from micropython import const

_PIECE = const(32)  # bytes of a factor


def power(base, exponent, modulus):
    """base ** exponent mod modulus, bit by bit: see hal.software_modexp.modexp."""
    p = int.from_bytes(modulus, "big")
    factors = [_factor(1 % p, modulus), _factor(int.from_bytes(base, "big") % p, modulus)]
    x = 1 % p
    for byte in exponent:
        for shift in range(7, -1, -1):
            x = _product(x, _factor(x, modulus), p)
            x = _product(x, factors[byte >> shift & 1], p)
    return bytearray(_factor(x, modulus))


def _factor(x, modulus):
    return x.to_bytes(len(modulus), "big")


def _product(x, factor, p):
    """x * factor mod p, by Horner's rule over _PIECE bytes of the factor at a time."""
    result = 0
    first = len(factor) % _PIECE
    if first:
        result = x * int.from_bytes(factor[:first], "big") % p
    for at in range(first, len(factor), _PIECE):
        piece = x * int.from_bytes(factor[at : at + _PIECE], "big")
        result = ((result << 8 * _PIECE) + piece) % p
    return result
