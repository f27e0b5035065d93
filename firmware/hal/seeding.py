"""The hardware's source of random bytes, and what is asked of it before a seed is taken.

Loaded for the moment of seeding.
"""

from micropython import const

from hal import HalError

try:
    from os import urandom
except ImportError:  # a bare-metal port
    urandom = None

SAMPLES = const(1024)  # SP 800-90B, 4.3: start-up tests see at least 1024 consecutive samples

# SP 800-90B, 4.4, for bytes with at least 4 bits of min-entropy each, of which an honest source
# is refused once in 2^20 times: cut-off 1 + 20/4 for repetitions in a row; for the adaptive
# proportion 1 + the 1 - 2^-20 quantile of the binomial distribution (512, 2^-4).
_REPETITIONS = const(6)
_WINDOW = const(512)
_PROPORTION = const(62)

_RADIO_MS = const(20)  # for the radio's noise to reach the source


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


class Radio:
    """While in it, the radio is on where the board has one; afterwards it is as before. Not
    `wanted`: an emulator's chip, which has the registers of none."""

    def __init__(self, wanted=True):
        self._wanted = wanted

    def __enter__(self):
        self._wlan = None
        if not self._wanted:
            return
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
