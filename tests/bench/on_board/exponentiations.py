"""Instructions of modular exponentiations on an emulated ESP32, by its cycle counter.

The emulator's clock counts instructions, and the cycle counter follows the clock: how many cycles
make an instruction is told by the two together.
"""

import gc
import json
import time

from hal import mpi, software
from ike import groups

_ROUNDS = 20  # the least of them: the others had an interrupt more
_WRAP = 0x3FFFFFFF  # the counter goes to here
_EXPONENT = bytes(range(0x9D, 0x9D + 32))


def _cycles(function):
    gc.collect()
    start = time.ticks_cpu()
    function()
    return time.ticks_cpu() - start & _WRAP


def _per_microsecond():
    """Cycles in a microsecond of the emulator's time: the frequency, in MHz."""
    microseconds = time.ticks_us()
    start = time.ticks_cpu()
    for _ in range(20000):
        pass
    cycles = time.ticks_diff(time.ticks_cpu(), start)
    return round(cycles / time.ticks_diff(time.ticks_us(), microseconds))


def main(chip):
    """Prints as JSON: cycles in a microsecond, and [engine, group, method, cycles] of each."""
    engine = mpi.Engine(chip)
    found = []
    nothing = min(_cycles(_nothing) for _ in range(_ROUNDS))
    for group in ("modp2048", "modp3072", "modp4096"):
        modulus = groups.prime(group)
        base = b"\x5a" * len(modulus)

        def power(engine=engine, base=base, modulus=modulus):
            engine.modexp(base, _EXPONENT, modulus)

        power()  # with what is kept for the modulus
        cycles = min(_cycles(power) for _ in range(_ROUNDS))
        found.append(["mpi", group, engine.method, cycles - nothing])
        if group == "modp2048":
            cycles = _cycles(lambda: power(software.Engine()))
            found.append(["software", group, "window", cycles - nothing])
    print(json.dumps({"per_microsecond": _per_microsecond(), "found": found}))


def _nothing():
    pass
