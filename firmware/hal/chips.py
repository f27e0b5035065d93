"""The big-number (RSA/MPI) accelerators of the ESP32 family, as data.

From Espressif's technical reference manuals and register headers. C2 and C61 have none.
"""

# A bit field is "address:mask" in hexadecimal. Text, because each chip needs only its own row:
# parsed when asked for, it costs no table of big integers in RAM.
#
# RSA base | largest N | step of N, bits | clock enable | reset | resets that must be 0 as well
# (digital signature, ECDSA; comma-separated) | memory power down, "-" = none | random numbers
_CHIPS = {
    "esp32": "3ff02000 4096 512 3ff0001c:4 3ff00020:4 3ff00020:10 3ff00490:1 60035144",
    "esp32s2": "6003c000 4096 32 3f4c0044:8 3f4c004c:8 3f4c004c:10 3f4c0068:1 60035110",
    "esp32s3": "6003c000 4096 32 600c001c:8 600c0024:8 600c0024:10 600c0040:1 6003507c",
    "esp32c3": "6003c000 3072 32 600c0014:8 600c001c:8 600c001c:10 600c0038:1 600260b0",
    "esp32c5": "6008a000 3072 32 600960d4:1 600960d4:2 600960e4:2,600960ec:2 600960d8:5 600b2828",
    "esp32c6": "6008a000 3072 32 600960d0:1 600960d0:2 600960e0:2 600960d4:5 600b2808",
    "esp32h2": "6008a000 3072 32 600960cc:1 600960cc:2 600960dc:2,600960e4:2 600960d0:5 600b280c",
    # P4: the number of the random register depends on the revision.
    "esp32p4": "50092000 4096 32 500e60a8:40000 500e60c8:200000 500e60c8:124000 - -",
}


def _field(text):
    address, mask = text.split(":")
    return int(address, 16), int(mask, 16)


class Chip:
    """One row. A bit field is (address, mask); None where the chip has no such thing."""

    def __init__(self, name):
        base, largest, step, clock, reset, held, memory, random = _CHIPS[name].split()
        self.base = int(base, 16)
        self.max_bits = int(largest)
        self.step_bits = int(step)
        self.clock = _field(clock)
        self.reset = _field(reset)
        self.held = [_field(text) for text in held.split(",")]
        self.memory = None if memory == "-" else _field(memory)
        self.random = None if random == "-" else int(random, 16)


def find(name):
    """The Chip called `name` ("esp32", "esp32c3" ...), or None when it has no accelerator."""
    return Chip(name) if name in _CHIPS else None
