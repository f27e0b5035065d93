"""SHA-1 (FIPS 180-4), for peers of the legacy suites, NAT-D and vendor IDs."""

import struct

from hal.software_blocks import run

_M32 = (1 << 32) - 1
_K = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)


def _compress(state, block):
    w = list(struct.unpack(">16I", block))
    a, b, c, d, e = state
    for t in range(80):
        i = t & 15
        if t > 15:
            x = w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^ w[i]
            w[i] = (x << 1 | x >> 31) & _M32
        if t < 20:
            f = d ^ b & (c ^ d)
        elif 40 <= t < 60:
            f = b & c | d & (b | c)
        else:
            f = b ^ c ^ d
        f = ((a << 5 | a >> 27) + f + e + w[i] + _K[t // 20]) & _M32
        a, b, c, d, e = f, a, (b << 30 | b >> 2) & _M32, c, d
    return [(x + y) & _M32 for x, y in zip(state, (a, b, c, d, e))]


def sha1(parts):
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
    return struct.pack(">5I", *run(_compress, state, parts, 64, "big"))
