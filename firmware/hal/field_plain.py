"""The machine of hal.field on big integers, for interpreters without an emitter.

It takes the same steps whatever the numbers are, but the numbers beneath are not constant time,
and what they held stays in the heap.
"""

from hal import curves


class Machine:
    """See hal.field.Machine."""

    def __init__(self, prime, count, entries, width, programs):
        self.p = curves.value(prime)
        self._registers = [0] * count
        self._table = {}
        self._width = width
        self._programs = programs

    def run(self, program):
        p = self.p
        registers = self._registers
        text = self._programs[program]
        for i in range(0, len(text), 4):
            op = text[i]
            a = registers[text[i + 2]]
            b = registers[text[i + 3]]
            # What is added is not reduced: the next product is.
            registers[text[i + 1]] = a * b % p if op == 1 else a + b * (op - 4)

    def put(self, register, number):
        self._registers[register] = number % self.p

    def get(self, register):
        return self._registers[register] % self.p

    def keep(self, entry, register):
        self._table[entry] = self._registers[register : register + self._width]

    def pick(self, entry, register):
        self._registers[register : register + self._width] = self._table[entry]

    def swap(self, bit):
        r = self._registers
        r[0], r[1], r[2], r[3] = (r[2], r[3], r[0], r[1]) if bit else (r[0], r[1], r[2], r[3])

    def wipe(self):
        self._registers = []
        self._table = {}
