"""AES (FIPS 197) in CBC mode, its rounds in machine code where the interpreter has an emitter.

Table lookups depend on secrets: on a core with a data cache this is not constant time.

The rounds work on 64 bytes: the block; the ciphertext of the one before, in place of which they
leave their own; then room. `schedule` is the key's, of which the last 16 bytes are at `last`, for
decryption negated; `box` is the S-box, or its inverse.
"""

from hal import wipe

try:
    from hal.aes_rounds import crypt as _crypt
except (ImportError, SyntaxError, NameError):  # no emitter: no types for it either
    from hal.aes_rounds_plain import crypt as _crypt


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


def _inverse(box):
    inverse = bytearray(256)
    for i in range(256):
        inverse[box[i]] = i
    return bytes(inverse)


_S = _make_sbox()
_INVERSE = _inverse(_S)


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
            rcon = rcon << 1 ^ (0x11B if rcon & 0x80 else 0)
        elif n == 32 and i % n == 16:
            a, b, c, d = _S[a], _S[b], _S[c], _S[d]
        schedule[i] = schedule[i - n] ^ a
        schedule[i + 1] = schedule[i - n + 1] ^ b
        schedule[i + 2] = schedule[i - n + 2] ^ c
        schedule[i + 3] = schedule[i - n + 3] ^ d
    return schedule


def cbc(key, iv, data, encrypt):
    """AES-CBC of whole blocks, as a bytearray; key of 16, 24 or 32 bytes, iv of 16."""
    schedule = _expand(key)
    last = len(schedule) - 16
    work = bytearray(64)
    work[16:32] = iv
    result = bytearray(data)
    way, box = (last, _S) if encrypt else (-last, _INVERSE)
    for at in range(0, len(data), 16):
        work[:16] = data[at : at + 16]
        _crypt(work, schedule, way, box)  # type: ignore[arg-type]
        result[at : at + 16] = work[:16]
    wipe(schedule)
    wipe(work)
    return result
