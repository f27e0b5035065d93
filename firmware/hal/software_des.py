"""Triple DES (SP 800-67, FIPS 46-3) in CBC mode, for peers of the legacy suites.

A half block is held as two 16-bit numbers, which never touch the heap on a 32-bit MicroPython.
"""

from array import array
from binascii import unhexlify

from hal import wipe

# The eight S-boxes, four rows of sixteen nibbles each.
_SBOXES = unhexlify(
    b"e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d"
    b"f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9"
    b"a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c"
    b"7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e"
    b"2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453"
    b"c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d"
    b"4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c"
    b"d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b"
)
# Bit numbers count from 1 at the left, as in the standard.
_P = unhexlify(b"100714151d0c1c11010f171a05121f0a0208180e201b0309130d1e06160b0419")
_PC2 = unhexlify(
    b"0e110b180105031c0f06150a17130c041a0810071b140d02"
    b"29341f252f371e28332d21302c31273822352e2a32241d20"
)


def _make_tables():
    """S-box then P, by box and six-bit input: the left and the right 16 bits of the output."""
    tables = array("H", bytes(1024)), array("H", bytes(1024))
    for to in range(32):
        box, bit = divmod(_P[to] - 1, 4)
        table = tables[to >> 4]
        for x in range(64):
            # The outer two bits of the input name the row, the inner four the column.
            at = box * 64 + (x & 32) + (x & 1) * 16 + (x >> 1 & 15)
            nibble = _SBOXES[at >> 1] >> (0 if at & 1 else 4)
            if nibble & (8 >> bit):
                table[box * 64 + x] |= 0x8000 >> (to & 15)
    return tables


_LEFT, _RIGHT = _make_tables()


def _expand(key):
    """The key schedule of single DES: eight six-bit groups for each of sixteen rounds."""

    def bit(number):
        return key[(number - 1) >> 3] >> (-number & 7) & 1

    # PC-1, its halves side by side: columns of the key read upwards.
    c = [bit(57 - 8 * (i & 7) + (i >> 3)) for i in range(28)]
    d = [bit(63 - 8 * (i & 7) - (i >> 3)) for i in range(24)] + [bit(n) for n in (28, 20, 12, 4)]
    schedule = bytearray(128)
    for r in range(16):
        turn = 1 if r in (0, 1, 8, 15) else 2
        c = c[turn:] + c[:turn]
        d = d[turn:] + d[:turn]
        bits = c + d
        for i in range(48):
            schedule[r * 8 + i // 6] |= bits[_PC2[i] - 1] << (5 - i % 6)
    return schedule


def _rounds(key, forward):
    """The 48 rounds' groups of encryption (EDE), or of its inverse."""
    stages = [_expand(key[i : i + 8]) for i in ((0, 8, 16) if forward else (16, 8, 0))]
    rounds = bytearray(384)
    for i in range(48):
        r = i if (i & 16 == 0) == forward else i ^ 15
        rounds[i * 8 : i * 8 + 8] = stages[i >> 4][(r & 15) * 8 : (r & 15) * 8 + 8]
    for stage in stages:
        wipe(stage)
    return rounds


def _crypt(block, rounds):
    """Run an 8-byte block through IP, the rounds, and the inverse of IP, in place."""
    left = _LEFT
    right = _RIGHT
    # The initial permutation gathers bit 7 - j of every byte, last byte first: the odd j to the
    # left half, the even ones to the right.
    halves = []
    for j in (6, 4, 2, 0, 7, 5, 3, 1):
        byte = 0
        for i in range(7, -1, -1):
            byte = byte << 1 | block[i] >> j & 1
        halves.append(byte)
    a = halves[0] << 8 | halves[1]  # L is a, b and R is c, d
    b = halves[2] << 8 | halves[3]
    c = halves[4] << 8 | halves[5]
    d = halves[6] << 8 | halves[7]
    for k in range(0, 384, 8):
        # The expansion: box i takes bits 4 i - 1 to 4 i + 4 of R, around the corner.
        s = (d << 5 & 32 | c >> 11) ^ rounds[k]
        t = 64 | (c >> 7 & 63) ^ rounds[k + 1]
        u = 128 | (c >> 3 & 63) ^ rounds[k + 2]
        v = 192 | ((c << 1 | d >> 15) & 63) ^ rounds[k + 3]
        w = 256 | (c << 5 & 32 | d >> 11) ^ rounds[k + 4]
        x = 320 | (d >> 7 & 63) ^ rounds[k + 5]
        y = 384 | (d >> 3 & 63) ^ rounds[k + 6]
        z = 448 | ((d << 1 | c >> 15) & 63) ^ rounds[k + 7]
        a ^= left[s] ^ left[t] ^ left[u] ^ left[v] ^ left[w] ^ left[x] ^ left[y] ^ left[z]
        b ^= right[s] ^ right[t] ^ right[u] ^ right[v] ^ right[w] ^ right[x] ^ right[y] ^ right[z]
        if k & 127 != 120:  # the last round of a stage does not swap
            a, b, c, d = c, d, a, b
    halves = (a >> 8, a & 255, b >> 8, b & 255, c >> 8, c & 255, d >> 8, d & 255)
    for i in range(8):
        byte = 0
        for j in (4, 0, 5, 1, 6, 2, 7, 3):
            byte = byte << 1 | halves[j] >> i & 1
        block[i] = byte


def cbc(key, iv, data, encrypt):
    """3DES-CBC of whole blocks, as a bytearray; key of 24 bytes, iv of 8."""
    rounds = _rounds(key, bool(encrypt))
    result = bytearray(data)
    previous = iv
    for at in range(0, len(data), 8):
        block = result[at : at + 8]
        if encrypt:
            for i in range(8):
                block[i] ^= previous[i]
            _crypt(block, rounds)
            previous = block
        else:
            _crypt(block, rounds)
            for i in range(8):
                block[i] ^= previous[i]
            previous = data[at : at + 8]
        result[at : at + 8] = block
    wipe(rounds)
    return result
