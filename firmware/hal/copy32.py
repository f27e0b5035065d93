# Ships as source: viper is compiled on the board, for the board's own processor. mpy-cross
# would need the architecture; an interpreter without an emitter refuses the file (SyntaxError).
# ruff: noqa: F821, I001
"""Copies between RAM and the accelerator's 32-bit blocks, word by word, as its bus demands."""

import micropython


# Pointers advance and indices are constant: the emitter makes a single instruction of those.


@micropython.viper
def reverse(out: ptr8, data: ptr8, size: int):
    """out[0:size] = data[0:size] backwards: big-endian to little-endian, and back."""
    target = int(out)
    first = int(data)
    at = first + size
    while at - first >= 8:
        at -= 8
        source = ptr8(at)
        byte = ptr8(target)
        byte[0] = source[7]
        byte[1] = source[6]
        byte[2] = source[5]
        byte[3] = source[4]
        byte[4] = source[3]
        byte[5] = source[2]
        byte[6] = source[1]
        byte[7] = source[0]
        target += 8
    while at != first:
        at -= 1
        source = ptr8(at)
        byte = ptr8(target)
        byte[0] = source[0]
        target += 1


@micropython.viper
def differs(one: ptr8, other: ptr8, words: int) -> int:
    """0 if the words of the two are the same; reads all of them."""
    at = int(one)
    there = int(other)
    end = at + 4 * words
    difference = 0
    while at != end:
        word = ptr32(at)
        its = ptr32(there)
        difference |= word[0] ^ its[0]
        at += 4
        there += 4
    return difference


@micropython.viper
def zero(target: ptr8, words: int):
    """target[0:words] = 0."""
    at = int(target)
    end = at + 4 * words
    while at != end:
        out = ptr32(at)
        out[0] = 0
        at += 4


@micropython.viper
def move(target: ptr8, source: ptr8, words: int):
    """target[0:words] = source[0:words]."""
    to = int(target)
    at = int(source)
    end = at + 4 * words
    while at != end:
        out = ptr32(to)
        data = ptr32(at)
        out[0] = data[0]
        to += 4
        at += 4


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
