# Ships as source: viper is compiled on the board, for the board's own processor. mpy-cross
# would need the architecture; an interpreter without an emitter refuses the file (SyntaxError).
# ruff: noqa: F821, I001
"""AES in machine code, a block at a time: see hal.software_aes, which names the arguments.

The code is short rather than fast: it stays in memory. Of a column a, b, c, d, their sum being t,
MixColumns makes 2(a ^ b) ^ t ^ a of a, InvMixColumns 2(2(2t ^ a ^ c) ^ a ^ b) ^ t ^ a.
"""

import micropython


@micropython.viper
def crypt(work: ptr8, schedule: ptr8, last: int, box: ptr8):
    """Encrypt a block, to which the one before is added; or, where `last` is negative, decrypt it
    and add the one before."""
    k = 0
    end = last
    step = 16
    turn = 5  # ShiftRows: row r of column c comes from column c + r
    if last < 0:
        k = -last
        end = 0
        step = -16
        turn = 13  # ... or c - r
    i = 0
    while i < 16:
        x = int(work[i]) ^ int(schedule[k + i])
        if step > 0:
            x ^= int(work[i + 16])
        work[i + 32] = x
        i += 1
    while True:
        k += step
        i = 0
        while i < 16:
            x = int(box[work[(i * turn & 15) + 32]])
            if step < 0 or k == end:
                x ^= int(schedule[k + i])
            work[i + 48] = x
            i += 1
        if k == end:
            break
        i = 0
        while i < 16:
            column = (i & 12) + 48
            a = int(work[i + 48])
            b = int(work[column + (i + 1 & 3)]) ^ a
            c = int(work[column + (i + 2 & 3)]) ^ a
            t = int(work[column + (i + 3 & 3)]) ^ a ^ b ^ c
            x = 0
            if step < 0:
                x = t << 1 ^ (t >> 7) * 0x11B ^ c
                x = x << 1 ^ (x >> 7) * 0x11B
            x ^= b
            x = x << 1 ^ (x >> 7) * 0x11B ^ t ^ a
            if step > 0:
                x ^= int(schedule[k + i])
            work[i + 32] = x
            i += 1
    i = 0
    while i < 16:
        x = int(work[i + 48])
        if step < 0:
            x ^= int(work[i + 16])
            work[i + 16] = work[i]
        else:
            work[i + 16] = x
        work[i] = x
        i += 1
