"""The random engine: an HMAC-DRBG, seeded from the chip's own source after a health check.

The source of the ESP32 family is good only while the radio runs: on a board that has only
Ethernet up, Wi-Fi is switched on for as long as the seeding takes. A source that is stuck is
refused. A board without any source can only work from a seed that its host gives it, afresh for
each boot: that engine is called "drbg-weak", and shows as such wherever engines are shown.
"""

from micropython import const

import modules
from hal import HalError, wipe

_RESEED_AFTER = const(1024)  # requests: a few hundred exchanges
_MIN_SEED = const(48)  # bytes: 256 bits of strength and a 128-bit nonce, 8.6.7


def engine(hmac, seed=None, chip=None, radio=True):
    """The random engine: from this board's source, or, where it has none, from `seed`.

    `hmac` is Hal.hmac; `seed` at least 48 bytes that the host provided for this boot; `chip` a
    name of hal.chips; `radio` whether one that is there may be used. HalError if there is neither
    a source nor a seed.
    """
    from hal import seeding

    read = seeding.source(chip)
    if read:
        return Random(hmac, read, radio)
    if seed is None or len(seed) < _MIN_SEED:
        raise HalError("no random source")
    return Provided(hmac, seed)


class Random:
    """A DRBG that `read` (n -> bytes) seeds at the first use, and again at times."""

    name = "drbg"

    def __init__(self, hmac, read, radio=True):
        self._hmac = hmac
        self._read = read
        self._radio = radio
        self._drbg = None

    def can(self, op, what):
        """True for random."""
        return op == "random"

    def random(self, n):
        """n random bytes, as a bytearray; HalError when the source is stuck."""
        if self._drbg is None or self._drbg.requests >= _RESEED_AFTER:
            self._seed()
        return self._drbg.generate(n)

    def _seed(self):
        from hal import drbg, seeding

        with seeding.Radio(self._radio):
            seed = bytearray(self._read(seeding.SAMPLES))
        try:
            seeding.check(seed)
            if self._drbg:
                self._drbg.reseed(seed)
            else:
                self._drbg = drbg.Drbg(self._hmac, seed)
        finally:
            wipe(seed)
            modules.unload("hal.seeding")


class Provided(Random):
    """As good as the seed that was given, and never better: it cannot seed itself again."""

    name = "drbg-weak"

    def __init__(self, hmac, seed):
        from hal import drbg

        self._drbg = drbg.Drbg(hmac, seed)

    def random(self, n):
        return self._drbg.generate(n)
