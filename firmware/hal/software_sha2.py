"""SHA-256, SHA-384 and SHA-512 (FIPS 180-4): one algorithm at two word sizes.

The constants are derived as the standard defines them: the first bits of the fractional parts of
the square and cube roots of the first primes.
"""

from array import array

from hal.software_blocks import run

# Rotations, the last of each of the sigmas a shift (FIPS 180-4 sections 4.1.2 and 4.1.3).
_SHIFTS = {
    32: (2, 13, 22, 6, 11, 25, 7, 18, 3, 17, 19, 10),
    64: (28, 34, 39, 14, 18, 41, 1, 8, 7, 19, 61, 6),
}


def _primes(n):
    found = []
    candidate = 2
    while len(found) < n:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def _root(n, degree):
    # Newton's iteration from above: the floor of the root. The roots asked for are below 2^67.
    x = 1 << 67
    while True:
        y = ((degree - 1) * x + n // x ** (degree - 1)) // degree
        if y >= x:
            return x
        x = y


_M64 = (1 << 64) - 1
_K = array("Q", [_root(p << 192, 3) & _M64 for p in _primes(80)])  # section 4.2.3
_H = array("Q", [_root(p << 128, 2) & _M64 for p in _primes(16)])  # sections 5.3.3 to 5.3.5


def _compress(h, block, bits):
    a1, a2, a3, e1, e2, e3, s1, s2, s3, t1, t2, t3 = _SHIFTS[bits]
    rounds = 64 if bits == 32 else 80
    size = bits // 8
    mask = (1 << bits) - 1
    down = 64 - bits
    w = [int.from_bytes(block[i : i + size], "big") for i in range(0, size * 16, size)]
    a, b, c, d, e, f, g, k = h
    for t in range(rounds):
        i = t & 15
        if t > 15:
            # A word written twice in a row rotates by a plain shift.
            x = w[(t + 1) & 15]
            y = w[(t + 14) & 15]
            xx = x << bits | x
            yy = y << bits | y
            w[i] = (
                w[i]
                + w[(t + 9) & 15]
                + ((xx >> s1 ^ xx >> s2 ^ x >> s3) & mask)
                + ((yy >> t1 ^ yy >> t2 ^ y >> t3) & mask)
            ) & mask
        x = e << bits | e
        y = a << bits | a
        k += (_K[t] >> down) + w[i] + ((x >> e1 ^ x >> e2 ^ x >> e3) & mask) + (g ^ e & (f ^ g))
        x = (y >> a1 ^ y >> a2 ^ y >> a3) & mask
        x += k + (a & b | c & (a | b))
        a, b, c, d, e, f, g, k = x & mask, a, b, c, (d + k) & mask, e, f, g
    return [(x + y) & mask for x, y in zip(h, (a, b, c, d, e, f, g, k))]


def _digest(parts, h, bits, length):
    h = run(lambda state, block: _compress(state, block, bits), h, parts, bits * 2, "big")
    return b"".join([x.to_bytes(bits // 8, "big") for x in h])[:length]


def sha256(parts):
    return _digest(parts, [x >> 32 for x in _H[:8]], 32, 32)


def sha384(parts):
    return _digest(parts, _H[8:], 64, 48)


def sha512(parts):
    return _digest(parts, _H[:8], 64, 64)
