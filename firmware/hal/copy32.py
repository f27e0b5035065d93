# Ships as source: viper is compiled on the board, for the board's own processor. mpy-cross
# would need the architecture; an interpreter without an emitter refuses the file (SyntaxError).
# ruff: noqa: F821, I001
"""Copies between RAM and the accelerator's 32-bit blocks, word by word, as its bus demands."""

import micropython


# Pointers advance and indices are constant: the emitter makes a single instruction of those.


@micropython.viper
def load(block: int, data: ptr8, size: int, words: int):
    """block[0:words] = the big-endian number in data[0:size], zero-extended; size % 4 == 0."""
    first = int(data)
    at = first + size
    end = block + 4 * words
    while at != first:
        at -= 4
        part = ptr8(at)
        out = ptr32(block)
        out[0] = part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3]
        block += 4
    while block != end:
        out = ptr32(block)
        out[0] = 0
        block += 4


@micropython.viper
def dump(block: int, data: ptr8, words: int):
    """data = the number in block[0:words], big-endian, 4 * words bytes."""
    first = int(data)
    at = first + 4 * words
    while at != first:
        source = ptr32(block)
        word = source[0]
        at -= 4
        part = ptr8(at)
        part[0] = word >> 24
        part[1] = word >> 16
        part[2] = word >> 8
        part[3] = word
        block += 4


@micropython.viper
def differs(block: int, data: ptr8, words: int) -> int:
    """0 if the number in block[0:words] is the big-endian one in data; reads all of it."""
    first = int(data)
    at = first + 4 * words
    difference = 0
    while at != first:
        source = ptr32(block)
        at -= 4
        part = ptr8(at)
        word = part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3]
        difference |= word ^ source[0]
        block += 4
    return difference


@micropython.viper
def move(target: int, source: int, words: int):
    """target[0:words] = source[0:words]."""
    end = source + 4 * words
    while source != end:
        out = ptr32(target)
        data = ptr32(source)
        out[0] = data[0]
        target += 4
        source += 4


@micropython.viper
def pick(target: int, table: ptr8, entry: int, words: int):
    """target[0:words] = entry 0..3 of the table, reading all four whichever is wanted."""
    # All ones where the numbers agree: no branch and no address depends on the entry.
    keep0 = ((entry ^ 0) - 1) >> 31
    keep1 = ((entry ^ 1) - 1) >> 31
    keep2 = ((entry ^ 2) - 1) >> 31
    keep3 = ((entry ^ 3) - 1) >> 31
    size = 4 * words
    at0 = int(table)
    end = at0 + size
    while at0 != end:
        at = at0
        data = ptr32(at)
        word = data[0] & keep0
        at += size
        data = ptr32(at)
        word |= data[0] & keep1
        at += size
        data = ptr32(at)
        word |= data[0] & keep2
        at += size
        data = ptr32(at)
        word |= data[0] & keep3
        out = ptr32(target)
        out[0] = word
        target += 4
        at0 += 4


@micropython.viper
def read(address: int) -> uint:
    """The word at the address."""
    register = ptr32(address)
    return uint(register[0])


@micropython.viper
def write(address: int, value: uint):
    """Store the word `value` at the address."""
    register = ptr32(address)
    register[0] = value


@micropython.viper
def change(address: int, off: int, on: int):
    """Clear the bits `off` and set the bits `on` of a register, once two reads of it agree."""
    register = ptr32(address)
    value = register[0]
    tries = 4
    while tries:
        again = register[0]
        tries -= 1
        if again == value:
            tries = 0
        value = again
    register[0] = value ^ (value & off) | on
