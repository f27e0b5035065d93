"""The MODP primes that fit an accelerator, by group number, from the formula of RFC 2409/3526."""

_TERMS = {2: (1024, 129093), 5: (1536, 741804), 14: (2048, 124476), 15: (3072, 1690314),
          16: (4096, 240904)}  # fmt: skip


def _pi(bits):
    """floor(pi * 2^bits), by Machin's formula."""
    one = 1 << bits + 32

    def arctan_of_inverse(n):
        term = one // n
        total, sign, divisor = term, -1, 3
        while term:
            term //= n * n
            total += sign * (term // divisor)
            sign, divisor = -sign, divisor + 2
        return total

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239)) >> 32


def prime(group):
    """2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) pi) + c), as big-endian bytes."""
    n, c = _TERMS[group]
    p = (1 << n) - (1 << n - 64) - 1 + ((_pi(n - 130) + c) << 64)
    return p.to_bytes(n // 8, "big")


def groups():
    return sorted(_TERMS)
