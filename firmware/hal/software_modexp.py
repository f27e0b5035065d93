"""Modular exponentiation on MicroPython's big integers, about a quarter faster than its `pow()`.

`pow()` divides after every product and multiplies bit by bit of the exponent. Here a fixed window
of the exponent is taken at a time, products are reduced by Montgomery's method in blocks, without
a division, and squares are split in two by Karatsuba's method.

Constant time goes as far as the sequence of big-integer operations: it depends on the lengths of
the modulus and the exponent only, and a digit of 0 is multiplied by like any other. The integers
beneath are not constant time (they drop leading zeros, and table entries lie at addresses that
depend on the exponent), and the heap keeps what they held until it is used again.
"""

from micropython import const

_BLOCK = const(512)  # reduce in blocks no larger: below, the interpreter's share outweighs
_SPLIT = const(1536)  # square in halves from this size on: likewise
_GUARD = const(16)  # bits by which Montgomery's R exceeds the modulus, to need no subtraction


class _Field:
    """Arithmetic modulo an odd p of exactly `bits` bits.

    Residues are held times R = 2^(bits + 16), and stay below p (1 + 2^-14): not fully reduced.
    """

    def __init__(self, p, bits):
        self.p = p
        self.r = bits + _GUARD
        sizes = []
        size = bits
        while size > _BLOCK and not size & 1:
            size >>= 1
            sizes.append(size)
        self.last = size + _GUARD
        self.last_mask = (1 << self.last) - 1
        inverse = _negative_inverse(p, max(sizes[0] if sizes else 0, self.last))
        self.inverse = inverse & self.last_mask
        self.folds = []
        for size in sizes:
            mask = (1 << size) - 1
            self.folds.append((size, mask, (p * (inverse & mask) >> size) + 1))
        self.halves = []
        while bits >= _SPLIT and not bits & 1:
            bits >>= 1
            self.halves.append((bits, (1 << bits) - 1))

    def reduce(self, t):
        """t / R mod p, for a product t of two residues."""
        # With m = t mod 2^k and Q = (p n + 1) / 2^k, n = -1/p mod 2^k:
        # (t + m n p) / 2^k = t div 2^k + m Q. The last block adds m n mod 2^k times p instead, so
        # that the answer is as short as p.
        for size, mask, q in self.folds:
            t = (t >> size) + (t & mask) * q
        return (t + ((t & self.last_mask) * self.inverse & self.last_mask) * self.p) >> self.last

    def square(self, x, depth=0):
        """x * x, not reduced."""
        if depth == len(self.halves):
            return x * x
        half, mask = self.halves[depth]
        depth += 1
        a = x >> half
        b = x & mask
        return (((self.square(a, depth) << half) + (a * b << 1)) << half) + self.square(b, depth)


def _negative_inverse(p, bits):
    """-1 / p mod 2^bits or more, by Newton's iteration, which doubles the bits known."""
    x = known = 1
    while known < bits:
        known <<= 1
        mask = (1 << known) - 1
        x = x * (2 - (p & mask) * x) & mask
    return (1 << known) - x


def modexp(base, exponent, modulus):
    """base ** exponent mod modulus: big-endian bytes-likes; a bytearray as long as the modulus.

    The modulus is odd and its top bit is set.
    """
    p = int.from_bytes(modulus, "big")
    field = _Field(p, len(modulus) * 8)
    reduce = field.reduce
    square = field.square
    # Larger moduli take a smaller table, to do with 40 KB of heap.
    window = 4 if len(modulus) <= 512 else 2
    one = (1 << field.r) % p
    table = [one, (int.from_bytes(base, "big") << field.r) % p]
    while len(table) < 1 << window:
        table.append(reduce(table[-1] * table[1]))
    x = None
    for byte in exponent:
        for shift in range(8 - window, -1, -window):
            power = table[byte >> shift & (1 << window) - 1]
            if x is None:
                x = power
            else:
                for _ in range(window):
                    x = reduce(square(x))
                x = reduce(x * power)
    x = reduce(x)
    if x >= p:
        x -= p
    return bytearray(x.to_bytes(len(modulus), "big"))
