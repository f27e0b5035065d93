# Ships as source: viper is compiled on the board, for the board's own processor. mpy-cross
# would need the architecture; an interpreter without an emitter refuses the file (SyntaxError).
# ruff: noqa: F821, I001
"""Prime fields in machine code: no branch or address depends on a number, nothing is allocated.

hal.field makes `mem`, and says how numbers are kept and why this is right.
"""

import micropython


# The emitter keeps the first two locals in registers, and an argument is a local: the two that
# the inner loops use most come first, and are given 0. Of `a += b` with a word of memory for a it
# makes twice as many instructions as of `a = b + a`.


@micropython.viper
def run(at: int, x: int, mem: ptr16):
    """Run the program at byte `at` of mem."""
    base = int(mem)
    program = base + at
    n = mem[0]
    factor = int(mem[1])
    low = int(mem[2])
    shift = mem[3]
    top = mem[4]
    terms = mem[5]
    # Byte offset of the word, complement, factor.
    o1 = int(mem[6])
    f1 = int(mem[8])
    o2 = int(mem[9])
    g2 = int(mem[10])
    f2 = int(mem[11])
    o3 = int(mem[12])
    g3 = int(mem[13])
    f3 = int(mem[14])
    o4 = int(mem[15])
    f4 = int(mem[17])
    size = n + n
    spare = n % 10 * 2
    prime = base + 64
    start = prime + size
    product = start + size
    registers = product + size * 4
    op = int(ptr8(program)[0])
    while op:
        d = registers + size * ptr8(program)[1]
        a = registers + size * ptr8(program)[2]
        b = registers + size * ptr8(program)[3]
        end = b + size
        if op == 1:
            at = product
            y = start
            while y != product:
                ptr32(at)[0] = ptr16(y)[0]
                ptr32(at)[1] = ptr16(y)[1]
                at += 8
                y += 4
            y = at + size + size
            while at != y:
                ptr32(at)[0] = 0
                ptr32(at)[1] = 0
                at += 8
            tail = end - spare
            row = product
            last = a + size
            while a != last:
                x = ptr16(a)[0]
                a += 2
                at = row
                y = b
                while y != tail:
                    ptr32(at)[0] = x * ptr16(y)[0] + ptr32(at)[0]
                    ptr32(at)[1] = x * ptr16(y)[1] + ptr32(at)[1]
                    ptr32(at)[2] = x * ptr16(y)[2] + ptr32(at)[2]
                    ptr32(at)[3] = x * ptr16(y)[3] + ptr32(at)[3]
                    ptr32(at)[4] = x * ptr16(y)[4] + ptr32(at)[4]
                    ptr32(at)[5] = x * ptr16(y)[5] + ptr32(at)[5]
                    ptr32(at)[6] = x * ptr16(y)[6] + ptr32(at)[6]
                    ptr32(at)[7] = x * ptr16(y)[7] + ptr32(at)[7]
                    ptr32(at)[8] = x * ptr16(y)[8] + ptr32(at)[8]
                    ptr32(at)[9] = x * ptr16(y)[9] + ptr32(at)[9]
                    at += 40
                    y += 20
                while y != end:
                    ptr32(at)[0] = x * ptr16(y)[0] + ptr32(at)[0]
                    ptr32(at)[1] = x * ptr16(y)[1] + ptr32(at)[1]
                    at += 8
                    y += 4
                # The row's first word is complete: add m primes, which clears its lower 13 bits.
                at = row
                row += 4
                y = ptr32(at)[0]
                x = y * factor & 8191
                ptr32(at)[1] = ((8192 - x) * low + y >> 13 & 0x7FFFF) + ptr32(at)[1]
                y = at
                at = y + o1
                ptr32(at)[0] = x * f1 + ptr32(at)[0]
                if terms == 4:
                    at = y + o2
                    ptr32(at)[0] = (x ^ g2) * f2 + ptr32(at)[0]
                    at = y + o3
                    ptr32(at)[0] = (x ^ g3) * f3 + ptr32(at)[0]
                    at = y + o4
                    ptr32(at)[0] = x * f4 + ptr32(at)[0]
            x = 0
            at = row
            end = d + size
            while d != end:
                x = ptr32(at)[0] + x
                ptr16(d)[0] = x & 8191
                x = x >> 13 & 0x7FFFF
                at += 4
                d += 2
        else:
            op -= 4
            x = 0 - ((ptr16(a)[top] + op * ptr16(b)[top] - 2) >> shift)
            y = 0
            at = prime
            while b != end:
                y = x * ptr16(at)[0] + op * ptr16(b)[0] + ptr16(a)[0] + y
                ptr16(d)[0] = y & 8191
                y = x * ptr16(at)[1] + op * ptr16(b)[1] + ptr16(a)[1] + (y >> 13)
                ptr16(d)[1] = y & 8191
                y = y >> 13
                a += 4
                b += 4
                at += 4
                d += 4
        program += 4
        op = int(ptr8(program)[0])


@micropython.viper
def swap(at: int, x: int, apart: int, mem: ptr16):
    """Exchange cells at ... x - 1 of mem with those apart // 2 further on, if apart is odd."""
    mask = 0 - (apart & 1)
    apart = apart >> 1
    while at != x:
        y = at + apart
        d = (mem[at] ^ mem[y]) & mask
        mem[at] = mem[at] ^ d
        mem[y] = mem[y] ^ d
        at += 1


@micropython.viper
def pick(table: ptr16, entry: int, place: int, mem: ptr16):
    """Copy an entry of the table to mem, reading all sixteen; place is cell << 16 | width."""
    width = place & 0xFFFF
    place = place >> 16
    first = 0
    while first != width:
        x = first
        v = 0
        i = 0
        while i != 16:
            v = table[x] & ((i ^ entry) - 1 >> 31) | v
            x += width
            i += 1
        mem[place] = v
        place += 1
        first += 1


@micropython.viper
def load(at: int, x: int, data: ptr8, mem: ptr16):
    """Cells at ... x - 1 of mem = the limbs of a little-endian number of enough bytes."""
    v = 0
    bits = 0
    i = 0
    while at != x:
        while bits < 13:
            v = data[i] << bits | v
            i += 1
            bits += 8
        mem[at] = v & 8191
        v = v >> 13
        bits -= 13
        at += 1


@micropython.viper
def save(at: int, x: int, data: ptr8, mem: ptr16):
    """data = the little-endian number whose limbs are in cells at ... x - 1 of mem."""
    v = 0
    bits = 0
    i = 0
    while at != x:
        v = mem[at] << bits | v
        bits += 13
        while bits > 7:
            data[i] = v
            v = v >> 8
            i += 1
            bits -= 8
        at += 1
    data[i] = v
