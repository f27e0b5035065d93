"""AES, a block at a time, for interpreters without an emitter: hal.aes_rounds has the same.

Bytes rather than 32-bit words: on a 32-bit MicroPython a word is a heap-allocated integer, a byte
never is. MixColumns is folded into two tables made from the S-box, InvMixColumns into four.
"""

_tables = {}  # {factor: multiples}: by 2 and 3 of the S-box, by 9, 11, 13 and 14 of every byte


def _times(x, factor):
    product = 0
    while factor:
        if factor & 1:
            product ^= x
        x = x << 1 ^ (0x11B if x & 0x80 else 0)
        factor >>= 1
    return product


def _multiples(of, factors):
    for factor in factors:
        if factor not in _tables:
            _tables[factor] = bytes([_times(x, factor) for x in of])
    return [_tables[factor] for factor in factors]


def crypt(work, schedule, last, box):
    """See hal.aes_rounds.crypt."""
    if last > 0:
        _encrypt(work, schedule, last, box)
    else:
        _decrypt(work, schedule, -last, box)


def _encrypt(work, schedule, last, box):
    s = box
    s2, s3 = _multiples(box, (2, 3))
    key = schedule
    block = bytearray(16)
    out = bytearray(16)
    for i in range(16):
        block[i] = work[i] ^ work[i + 16] ^ key[i]
    for k in range(16, last, 16):
        for i in range(0, 16, 4):
            # ShiftRows: row r of column c comes from column c + r.
            a = block[i]
            b = block[(i + 5) & 15]
            c = block[(i + 10) & 15]
            d = block[(i + 15) & 15]
            out[i] = s2[a] ^ s3[b] ^ s[c] ^ s[d] ^ key[k + i]
            out[i + 1] = s[a] ^ s2[b] ^ s3[c] ^ s[d] ^ key[k + i + 1]
            out[i + 2] = s[a] ^ s[b] ^ s2[c] ^ s3[d] ^ key[k + i + 2]
            out[i + 3] = s3[a] ^ s[b] ^ s[c] ^ s2[d] ^ key[k + i + 3]
        block, out = out, block
    for i in range(16):
        work[i] = work[i + 16] = s[block[i * 5 & 15]] ^ key[last + i]


def _decrypt(work, schedule, last, box):
    m9, m11, m13, m14 = _multiples(range(256), (9, 11, 13, 14))
    key = schedule
    block = bytearray(16)
    out = bytearray(16)
    for i in range(16):
        block[i] = work[i] ^ key[last + i]
    for k in range(last - 16, 0, -16):
        for i in range(0, 16, 4):
            # InvShiftRows: row r of column c comes from column c - r.
            a = box[block[i]] ^ key[k + i]
            b = box[block[(i + 13) & 15]] ^ key[k + i + 1]
            c = box[block[(i + 10) & 15]] ^ key[k + i + 2]
            d = box[block[(i + 7) & 15]] ^ key[k + i + 3]
            out[i] = m14[a] ^ m11[b] ^ m13[c] ^ m9[d]
            out[i + 1] = m9[a] ^ m14[b] ^ m11[c] ^ m13[d]
            out[i + 2] = m13[a] ^ m9[b] ^ m14[c] ^ m11[d]
            out[i + 3] = m11[a] ^ m13[b] ^ m9[c] ^ m14[d]
        block, out = out, block
    for i in range(16):
        plain = box[block[i * 13 & 15]] ^ key[i] ^ work[i + 16]
        work[i], work[i + 16] = plain, work[i]
