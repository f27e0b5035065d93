"""The board's memory as the MPI engine sees it: registers, blocks, a clock.

A block is an address where a number lies as 32-bit words, the least significant first. In RAM it
lies likewise, in a bytearray of whole words: `reverse` makes that of a big-endian number, and
back. `zero`, `move` and `differs` take either.
"""

import struct
import time

from machine import disable_irq, enable_irq, mem32

try:
    from hal import copy32
except (ImportError, SyntaxError):  # no emitter in this interpreter
    copy32 = None

ticks = time.ticks_ms

# Only with the viper copies can the engine keep a table of powers.
tables = copy32 is not None


def change(steps):
    """For each (address, off, on): clear and set bits of a register that others change as well."""
    state = disable_irq()
    for address, off, on in steps:
        _change(address, off, on)
    enable_irq(state)


if copy32:
    from uctypes import addressof

    read = copy32.read
    write = copy32.write
    reverse = copy32.reverse
    zero = copy32.zero
    move = copy32.move
    differs = copy32.differs
    pick = copy32.pick
    _change = copy32.change

    def keep(table, entry, block, words):
        copy32.move(addressof(table) + 4 * entry * words, block, words)

else:

    def read(address):
        return mem32[address] & 0xFFFFFFFF

    def write(address, value):
        mem32[address] = value

    def _change(address, off, on):
        for _ in range(4):
            value = mem32[address]
            if value == mem32[address]:
                break
        mem32[address] = (value & ~off | on) & 0xFFFFFFFF

    def reverse(out, data, size):
        for i in range(size):
            out[i] = data[size - 1 - i]

    def zero(target, words):
        for i in range(0, 4 * words, 4):
            _set(target, i, 0)

    def move(target, source, words):
        for i in range(0, 4 * words, 4):
            _set(target, i, _word(source, i))

    def differs(one, other, words):
        difference = 0
        for i in range(0, 4 * words, 4):
            difference |= _word(one, i) ^ _word(other, i)
        return difference

    def _word(source, i):
        if isinstance(source, int):
            return mem32[source + i] & 0xFFFFFFFF
        return struct.unpack_from("<I", source, i)[0]

    def _set(target, i, word):
        if isinstance(target, int):
            mem32[target + i] = word
        else:
            struct.pack_into("<I", target, i, word)
