# Ships as source: viper is compiled on the board, for the board's own processor. mpy-cross
# would need the architecture; an interpreter without an emitter refuses the file (SyntaxError).
# ruff: noqa: F821, I001
"""Copies between RAM and the accelerator's 32-bit blocks, word by word, as its bus demands."""

import micropython


@micropython.viper
def load(block: int, data: ptr8, size: int, words: int):
    """block[0:words] = the big-endian number in data[0:size], zero-extended; size % 4 == 0."""
    out = ptr32(block)
    i = size
    n = 0
    while n < words:
        if i > 0:
            i -= 4
            out[n] = data[i] << 24 | data[i + 1] << 16 | data[i + 2] << 8 | data[i + 3]
        else:
            out[n] = 0
        n += 1


@micropython.viper
def dump(block: int, data: ptr8, words: int):
    """data = the number in block[0:words], big-endian, 4 * words bytes."""
    source = ptr32(block)
    i = words << 2
    n = 0
    while n < words:
        word = source[n]
        i -= 4
        data[i] = word >> 24
        data[i + 1] = word >> 16
        data[i + 2] = word >> 8
        data[i + 3] = word
        n += 1


@micropython.viper
def move(target: int, source: int, words: int):
    """target[0:words] = source[0:words]."""
    out = ptr32(target)
    data = ptr32(source)
    n = 0
    while n < words:
        out[n] = data[n]
        n += 1


@micropython.viper
def pick(target: int, table: ptr32, entry: int, words: int):
    """target[0:words] = entry 0..3 of the table, reading all four whichever is wanted."""
    out = ptr32(target)
    # All ones where the numbers agree: no branch and no address depends on the entry.
    keep0 = ((entry ^ 0) - 1) >> 31
    keep1 = ((entry ^ 1) - 1) >> 31
    keep2 = ((entry ^ 2) - 1) >> 31
    keep3 = ((entry ^ 3) - 1) >> 31
    n = 0
    while n < words:
        low = table[n] & keep0 | table[n + words] & keep1
        high = table[n + 2 * words] & keep2 | table[n + 3 * words] & keep3
        out[n] = low | high
        n += 1
