"""The board's memory as the MPI engine sees it: registers, blocks, a clock.

A block is an address where a number lies as 32-bit words, the least significant first; in RAM a
number is bytes, big-endian, their count a multiple of 4.
"""

import struct
import time

from machine import disable_irq, enable_irq, mem32

from hal import wipe

try:
    from hal import copy32
except (ImportError, SyntaxError):  # no emitter in this interpreter
    copy32 = None

ticks = time.ticks_ms

# Only with the viper copies can the engine keep a table of powers.
tables = copy32 is not None


def change(address, off, on):
    """Clear the bits `off` and set the bits `on` of a register that others change as well."""
    state = disable_irq()
    _change(address, off, on)
    enable_irq(state)


if copy32:
    from uctypes import addressof

    read = copy32.read
    write = copy32.write
    _change = copy32.change
    move = copy32.move
    pick = copy32.pick

    def load(block, data, words):
        copy32.load(block, data, len(data), words)

    def dump(block, data):
        copy32.dump(block, data, len(data) >> 2)

    def holds(block, data):
        return copy32.differs(block, data, len(data) >> 2) == 0

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

    def load(block, data, words):
        i = len(data)
        for address in range(block, block + 4 * words, 4):
            i -= 4
            mem32[address] = struct.unpack_from(">I", data, i)[0] if i >= 0 else 0

    def dump(block, data):
        for i in range(len(data) - 4, -1, -4):
            struct.pack_into(">I", data, i, mem32[block] & 0xFFFFFFFF)
            block += 4

    def holds(block, data):
        found = bytearray(len(data))
        dump(block, found)
        same = found == data
        wipe(found)
        return same
