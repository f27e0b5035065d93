"""The random engine: an HMAC-DRBG, seeded from the chip's own source after a health check.

The source of the ESP32 family is good only while the radio runs: on a board that has only
Ethernet up, Wi-Fi is switched on for as long as the seeding takes. A source that is stuck is
refused. A board without any source can only work from a seed that its host gives it, afresh for
each boot: that engine is called "drbg-weak", and shows as such wherever engines are shown.
"""

from micropython import const

from hal import HalError, wipe

try:
    from os import urandom
except ImportError:  # a bare-metal port
    urandom = None

_SAMPLES = const(1024)  # SP 800-90B, 4.3: start-up tests see at least 1024 consecutive samples

# SP 800-90B, 4.4, for bytes with at least 4 bits of min-entropy each, of which an honest source
# is refused once in 2^20 times: cut-off 1 + 20/4 for repetitions in a row; for the adaptive
# proportion 1 + the 1 - 2^-20 quantile of the binomial distribution (512, 2^-4).
_REPETITIONS = const(6)
_WINDOW = const(512)
_PROPORTION = const(62)

_RESEED_AFTER = const(1024)  # requests: a few hundred exchanges
_MIN_SEED = const(48)  # bytes: 256 bits of strength and a 128-bit nonce, 8.6.7
_RADIO_MS = const(20)  # for the radio's noise to reach the source


def engine(hmac, seed=None, chip=None):
    """The random engine: from this board's source, or, where it has none, from `seed`.

    `hmac` is Hal.hmac; `seed` at least 48 bytes that the host provided for this boot; `chip` a
    name of hal.chips. HalError if there is neither a source nor a seed.
    """
    read = source(chip)
    if read:
        return Random(hmac, read)
    if seed is None or len(seed) < _MIN_SEED:
        raise HalError("no random source")
    return Provided(hmac, seed)


def source(chip=None):
    """The function n -> bytes that reads the hardware's source; None without one."""
    if urandom:
        return urandom
    from hal import chips

    found = chips.find(chip)
    if found is None or found.random is None:
        return None
    from hal import memory

    return lambda n: registers(memory.read, found.random, n)


def registers(read, address, n):
    """n bytes from a random number register; the interpreter is slow enough for it to renew."""
    out = bytearray(n)
    for start in range(0, n, 4):
        out[start : start + 4] = read(address).to_bytes(4, "big")[: n - start]
    return out


class Random:
    """A DRBG that `read` (n -> bytes) seeds at the first use, and again at times."""

    name = "drbg"

    def __init__(self, hmac, read, radio=None):
        self._hmac = hmac
        self._read = read
        self._radio = radio or Radio
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
        from hal import drbg

        with self._radio():
            seed = bytearray(self._read(_SAMPLES))
        try:
            check(seed)
            if self._drbg:
                self._drbg.reseed(seed)
            else:
                self._drbg = drbg.Drbg(self._hmac, seed)
        finally:
            wipe(seed)


class Provided(Random):
    """As good as the seed that was given, and never better: it cannot seed itself again."""

    name = "drbg-weak"

    def __init__(self, hmac, seed):
        from hal import drbg

        self._drbg = drbg.Drbg(hmac, seed)

    def random(self, n):
        return self._drbg.generate(n)


class Radio:
    """While in it, the radio is on where the board has one; afterwards it is as before."""

    def __enter__(self):
        self._wlan = None
        try:
            import network

            wlan = network.WLAN(network.STA_IF)
        except (ImportError, AttributeError):
            return  # no radio here: an operating system, an emulator, a chip without one
        if not wlan.active():
            wlan.active(True)
            self._wlan = wlan
            import time

            time.sleep_ms(_RADIO_MS)

    def __exit__(self, *_):
        if self._wlan:
            self._wlan.active(False)


def check(samples):
    """The two continuous health tests of SP 800-90B, 4.4.1 and 4.4.2, over bytes; HalError."""
    last = None
    repeated = 0
    for start in range(0, len(samples), _WINDOW):
        first = samples[start]
        same = 0
        for i in range(start, min(start + _WINDOW, len(samples))):
            sample = samples[i]
            same += sample == first
            repeated = repeated + 1 if sample == last else 1
            last = sample
            if repeated >= _REPETITIONS or same >= _PROPORTION:
                raise HalError("random source is stuck")
    if samples[:_WINDOW] == samples[_WINDOW : 2 * _WINDOW]:
        raise HalError("random source is stuck")
