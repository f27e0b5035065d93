"""AES (FIPS 197) in CBC mode, byte by byte.

Bytes rather than 32-bit words: on a 32-bit MicroPython a word is a heap-allocated integer, a byte
never is. MixColumns is folded into two tables made from the S-box, InvMixColumns into four.
Table lookups depend on secrets: on a core with a data cache this is not constant time.
"""

from hal import wipe


def _make_sbox():
    # FIPS 197 section 5.1.1, walking the field by the generator 3 and its inverse 0xF6.
    box = bytearray(256)
    p = q = 1
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)
        p &= 0xFF
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        x = q | q << 8
        box[p] = (q ^ x >> 7 ^ x >> 6 ^ x >> 5 ^ x >> 4 ^ 0x63) & 0xFF
        if p == 1:
            break
    box[0] = 0x63
    return bytes(box)


def _times(x, factor):
    product = 0
    while factor:
        if factor & 1:
            product ^= x
        x = x << 1 ^ (0x11B if x & 0x80 else 0)
        factor >>= 1
    return product


_S = _make_sbox()
_S2 = bytes(_times(s, 2) for s in _S)
_S3 = bytes(_times(s, 3) for s in _S)
_inverse = None  # (inverse S-box, and the multiples by 9, 11, 13, 14), made on first decryption


def _make_inverse():
    box = bytearray(256)
    for i in range(256):
        box[_S[i]] = i
    return (bytes(box),) + tuple(
        bytes(_times(x, factor) for x in range(256)) for factor in (9, 11, 13, 14)
    )


def _expand(key):
    """The key schedule: 16 bytes for each of the rounds plus one (FIPS 197 section 5.2)."""
    n = len(key)
    schedule = bytearray(4 * n + 112)  # 16 * (n / 4 + 7)
    schedule[:n] = key
    rcon = 1
    for i in range(n, len(schedule), 4):
        a, b, c, d = schedule[i - 4 : i]
        if i % n == 0:
            a, b, c, d = _S[b] ^ rcon, _S[c], _S[d], _S[a]
            rcon = _times(rcon, 2)
        elif n == 32 and i % n == 16:
            a, b, c, d = _S[a], _S[b], _S[c], _S[d]
        schedule[i] = schedule[i - n] ^ a
        schedule[i + 1] = schedule[i - n + 1] ^ b
        schedule[i + 2] = schedule[i - n + 2] ^ c
        schedule[i + 3] = schedule[i - n + 3] ^ d
    return schedule


def _encrypt(block, key):
    """Encrypt a 16-byte bytearray in place."""
    s = _S
    s2 = _S2
    s3 = _S3
    out = bytearray(16)
    for i in range(16):
        block[i] ^= key[i]
    last = len(key) - 16
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
        out[i] = s[block[i * 5 & 15]] ^ key[last + i]
    return out


def _decrypt(block, key):
    inverse, m9, m11, m13, m14 = _inverse
    last = len(key) - 16
    out = bytearray(16)
    for i in range(16):
        block[i] ^= key[last + i]
    for k in range(last - 16, 0, -16):
        for i in range(0, 16, 4):
            # InvShiftRows: row r of column c comes from column c - r.
            a = inverse[block[i]] ^ key[k + i]
            b = inverse[block[(i + 13) & 15]] ^ key[k + i + 1]
            c = inverse[block[(i + 10) & 15]] ^ key[k + i + 2]
            d = inverse[block[(i + 7) & 15]] ^ key[k + i + 3]
            out[i] = m14[a] ^ m11[b] ^ m13[c] ^ m9[d]
            out[i + 1] = m9[a] ^ m14[b] ^ m11[c] ^ m13[d]
            out[i + 2] = m13[a] ^ m9[b] ^ m14[c] ^ m11[d]
            out[i + 3] = m11[a] ^ m13[b] ^ m9[c] ^ m14[d]
        block, out = out, block
    for i in range(16):
        out[i] = inverse[block[i * 13 & 15]] ^ key[i]
    return out


def cbc(key, iv, data, encrypt):
    """AES-CBC of whole blocks, as a bytearray; key of 16, 24 or 32 bytes, iv of 16."""
    global _inverse
    if not encrypt and _inverse is None:
        _inverse = _make_inverse()
    schedule = _expand(key)
    result = bytearray(len(data))
    previous = iv
    for at in range(0, len(data), 16):
        block = bytearray(data[at : at + 16])
        if encrypt:
            for i in range(16):
                block[i] ^= previous[i]
            block = previous = _encrypt(block, schedule)
        else:
            block = _decrypt(block, schedule)
            for i in range(16):
                block[i] ^= previous[i]
            previous = data[at : at + 16]
        result[at : at + 16] = block
    wipe(schedule)
    return result
