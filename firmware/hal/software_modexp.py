"""Modular exponentiation on MicroPython's big integers, by a fixed window.

Against `pow()` of the whole exponent this saves about a sixth, and takes the same steps whatever
the bits are. `pow(x, 16, p)` is four squarings without the interpreter in between. Montgomery's
reduction in place of the division was measured and left out: it takes fewer machine instructions
only while the heap is empty, as each product costs it ten allocations instead of two, and on a
fragmented heap every allocation is searched for.

Constant time goes as far as the sequence of big-integer operations: that depends on the lengths
of the modulus and the exponent only, and a digit of 0 is multiplied by like any other. The numbers
beneath are not constant time (they drop leading zeros, and the table's entries lie at addresses
that depend on the exponent), and the heap keeps what they held until it is used again.
"""

import gc

from micropython import const

_PUBLIC = const(4)  # bytes: so short is only the exponent of an RSA key, which is no secret
_ROOM = 128  # free heap, in lengths of the modulus, with which the large table can be afforded


def _window(size):
    """Bits of the exponent a step, for a modulus of `size` bytes.

    The large table is 16 numbers, and a fragmented heap must hold them beside the products: on a
    32-bit board with 60 KB free a modulus of 4096 bits goes by the small one.
    """
    if not hasattr(gc, "mem_free"):
        return 4
    gc.collect()  # so that the table lies together, not in the gaps between what goes next
    return 4 if gc.mem_free() > _ROOM * size else 2


def modexp(base, exponent, modulus):
    """base ** exponent mod modulus: big-endian bytes-likes; a bytearray as long as the modulus."""
    if len(exponent) <= _PUBLIC and any(exponent):  # MicroPython has pow(0, 0, p) == 0
        gc.collect()
        windows = (0,)
    else:
        window = _window(len(modulus))
        windows = (window, 2) if window > 2 else (window,)
    for window in windows:
        try:
            return _power(base, exponent, modulus, window)
        except MemoryError:  # room enough, but in pieces
            pass
        gc.collect()
    from hal import modexp_in_pieces

    return modexp_in_pieces.power(base, exponent, modulus)


def _power(base, exponent, modulus, window):
    """`window`: 0 for pow() of the whole exponent."""
    p = int.from_bytes(modulus, "big")
    base = int.from_bytes(base, "big") % p
    if not window:
        x = pow(base, int.from_bytes(exponent, "big"), p)
        return bytearray(x.to_bytes(len(modulus), "big"))
    entries = 1 << window
    table = [1 % p]
    while len(table) < entries:
        table.append(table[-1] * base % p)
    x = None
    for byte in exponent:
        for shift in range(8 - window, -1, -window):
            power = table[byte >> shift & entries - 1]
            x = power if x is None else pow(x, entries, p) * power % p
    return bytearray(x.to_bytes(len(modulus), "big"))
