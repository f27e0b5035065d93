"""Prime fields in machine code: registers of 13-bit limbs, and programs over them (hal.machine).

The machine code is in hal.limbs; hal.field_plain has the same machine on big integers.

A prime is (low, ((bit, sign), ...)): the sum of sign * 2^bit, less low; the last bit is its size.
Registers hold numbers in Montgomery's form, below 2^bits + 5 * 2^(13 * top), where top is the limb
with that bit. A sum or difference takes away as many primes as the top limbs say are in it,
leaving one too many rather than one too few; a product is reduced by Montgomery's method.

There the word v to be cleared, of weight 2^(13 i), gets m primes, m = v / low mod 2^13. All is
kept unsigned: in place of -m * low, 8192 * low - m * low is added, and in place of a negative
term's -m its complement, 8191 - m. What that adds too much is the same for all numbers: `_excess`
computes it, and each product starts from its negative, modulo the prime.
"""

import struct

from micropython import const

from hal import curves, limbs, wipe

_BITS = const(13)  # of a limb: 41 products of two, the longest column of P-521, fit 32 bits
_MASK = const(0x1FFF)
_MUL = const(1)
_STEP = const(256)  # bytes wiped at once: no large zeros are allocated
_HEADER = const(32)  # cells; hal.limbs reads them by number


class Machine:
    """`count` registers, and a table of `entries` (16 or none) of `width` registers each."""

    def __init__(self, prime, count, entries, width, programs):
        low, terms = prime
        top, shift = divmod(terms[-1][0], _BITS)
        self._n = n = top + 2 & ~1  # even: two limbs a step
        self.p = curves.value(prime)
        self._registers = _HEADER + 6 * n
        self._one = count + 1  # after a register for scratch
        self._width = width * n
        at = 2 * (self._registers + (count + 2) * n)
        programs = programs + [bytes((_MUL, count, 0, self._one))]
        self._mem = mem = _buffer(at + sum([len(text) + 2 for text in programs]))
        self._table = _buffer(2 * entries * self._width)
        self._number = _buffer(2 * n)
        inverse = pow(low, (1 << _BITS - 2) - 1, 1 << _BITS)
        header = [n, inverse, low, shift, top, len(terms)]
        for bit, sign in terms:
            # Byte offset of the term's word, what to complement with, factor.
            header += [bit // _BITS * 4, 0 if sign > 0 else _MASK, 1 << bit % _BITS]
        for i in range(len(header)):
            struct.pack_into("<H", mem, 2 * i, header[i])
        self._load(_HEADER, self.p)
        self._load(_HEADER + n, -_excess(prime, n) % self.p)
        self._load(self._place(self._one), 1)
        self._at = []
        for text in programs:  # a zero ends each
            self._at.append(at)
            mem[at : at + len(text)] = text
            at += len(text) + 2
        self._reading = self._at.pop()

    def run(self, program):
        """Run the program of that number."""
        limbs.run(self._at[program], 0, self._mem)

    def put(self, register, number):
        """Set a register to a number from 0 to p - 1."""
        self._load(self._place(register), (number << _BITS * self._n) % self.p)

    def get(self, register):
        """A register's number, from 0 to p - 1."""
        self._mem[self._reading + 2] = register
        limbs.run(self._reading, 0, self._mem)
        at = self._place(self._one - 1)
        limbs.save(at, at + self._n, self._number, self._mem)
        number = int.from_bytes(self._number, "little")
        wipe(self._number)
        return number % self.p

    def keep(self, entry, register):
        """Copy registers, the table's width of them, into an entry of the table."""
        size = 2 * self._width
        at = 2 * self._place(register)
        self._table[entry * size : entry * size + size] = self._mem[at : at + size]

    def pick(self, entry, register):
        """Copy an entry of the table into registers: it may be secret."""
        limbs.pick(self._table, entry, self._place(register) << 16 | self._width, self._mem)

    def swap(self, bit):
        """Exchange registers 0 and 1 with 2 and 3 if bit, which may be secret, is 1."""
        at = self._place(0)
        limbs.swap(at, at + 2 * self._n, 4 * self._n | bit, self._mem)

    def wipe(self):
        """Forget everything: the machine cannot be used any more."""
        for buffer in (self._mem, self._table):
            view = memoryview(buffer)
            for at in range(0, len(buffer), _STEP):
                wipe(view[at : at + _STEP])

    def _place(self, register):
        return self._registers + register * self._n

    def _load(self, at, number):
        data = number.to_bytes(2 * self._n, "little")
        limbs.load(at, at + self._n, data, self._mem)


def _buffer(size):
    return bytearray(size)


def _excess(prime, n):
    """What a product is too large by, before its division by 2^(13 n): see above."""
    low, terms = prime
    total = 0
    for i in range(n):
        total += low << _BITS * (i + 1)
        for bit, sign in terms:
            if sign < 0:
                total += _MASK << bit + _BITS * i
    return total
