"""Inverses, which MicroPython's pow() does not give."""


def inverse(x, n):
    """1 / x mod n by Euclid's algorithm, 0 if there is none; the time depends on x."""
    t, u = 0, 1
    r, s = n, x % n
    while s:
        q = r // s
        t, u = u, t - q * u
        r, s = s, r - q * s
    return t % n if r == 1 else 0
