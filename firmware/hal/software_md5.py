"""MD5 (RFC 1321), for peers of the legacy suites."""

import struct

from hal.software_blocks import run

_M32 = (1 << 32) - 1
_ROTATIONS = bytes((7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21))


def _sines():
    # T[i] = floor(2^32 |sin i|), i = 1 .. 64 (section 3.4), by adding angles in 96-bit fixed
    # point: a board's floats are too short.
    sine = sine_1 = 0xD76AA47848677020C6E9E909
    cosine = cosine_1 = 0x8A51407DA8345C91C2466D97
    table = []
    for _ in range(64):
        table.append(abs(sine) >> 64)
        sine, cosine = (
            (sine * cosine_1 + cosine * sine_1) >> 96,
            (cosine * cosine_1 - sine * sine_1) >> 96,
        )
    return table


_T = _sines()


def _compress(state, block):
    x = struct.unpack("<16I", block)
    a, b, c, d = state
    for i in range(64):
        kind = i >> 4
        if kind == 0:
            f, k = d ^ b & (c ^ d), i
        elif kind == 1:
            f, k = c ^ d & (b ^ c), 5 * i + 1
        elif kind == 2:
            f, k = b ^ c ^ d, 3 * i + 5
        else:
            f, k = c ^ (b | d ^ _M32), 7 * i
        f = (a + f + x[k & 15] + _T[i]) & _M32
        s = _ROTATIONS[kind << 2 | i & 3]
        a, b, c, d = d, (b + (f << s | f >> (32 - s))) & _M32, b, c
    return [(x + y) & _M32 for x, y in zip(state, (a, b, c, d))]


def md5(parts):
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
    return struct.pack("<4I", *run(_compress, state, parts, 64, "little"))
