"""Modular exponentiation on the ESP32 family's big-number (RSA/MPI) accelerator, by registers.

ESP-IDF's own users of the accelerator switch it off after each operation, under a lock that Python
cannot take, and may even do so in the middle of ours. So every call assumes nothing, powers it up,
computes twice and compares, checks that the power is still on, and leaves it wiped and off.

The time depends on the operands' lengths only. Two methods: "one-shot" gives the accelerator the
whole exponentiation; "montgomery", on the original ESP32, whose one-shot scans as many bits as
the modulus has, multiplies step by step: four-power window, a multiplication for every window,
table entries picked without a secret address.
"""

from micropython import const

from hal import EngineError, chips, wipe

# Blocks of up to 4096 bits, and registers: offsets from the accelerator's base, on every chip.
_M = const(0x000)
_Z = const(0x200)
_Y = const(0x400)
_X = const(0x600)
_M_PRIME = const(0x800)
_MODE = const(0x804)

# The original ESP32's ...
_START_ESP32 = const(0x808)
_MULT_MODE = const(0x80C)
_MULT_START = const(0x810)
_INTERRUPT = const(0x814)  # done when 1, until 1 is written to it
_CLEAN_ESP32 = const(0x818)

# ... and the later chips'.
_CLEAN = const(0x808)
_START = const(0x80C)
_IDLE = const(0x818)
_CLEAR_INTERRUPT = const(0x81C)
_CONSTANT_TIME = const(0x820)
_SEARCH_ENABLE = const(0x824)
_SEARCH_POS = const(0x828)
_INTERRUPT_ENABLE = const(0x82C)

_CLEAN_MS = const(50)  # takes microseconds
_RUN_MS = const(4000)  # the slowest, a 4096-bit exponent on an S3 or P4, takes about 1.8 s
_READS = const(4)  # silicon before v3.0 can misread the bus while both cores are active

# The loop spares silicon the bits that the one-shot scans in vain, but costs the interpreter some
# 400 rounds: worth it from group 15 on, and for the short exponents of Diffie-Hellman.
_MONTGOMERY_BITS = const(3072)
_MONTGOMERY_EXPONENT = const(64)  # bytes

_ONE = b"\0\0\0\1"


class Engine:
    """The accelerator of the chip called `chip_name`; `mem` is `hal.memory` or a model of it.

    `method` names how the last exponentiation was done: "one-shot" or "montgomery".
    """

    name = "mpi"

    def __init__(self, chip_name, mem=None):
        self._chip = chips.find(chip_name)
        if self._chip is None:
            raise EngineError("unsupported")
        if mem is None:
            from hal import memory as mem
        self._mem = mem
        self._moduli = []  # (modulus, words, r-bar, M'), latest first
        self.method = None
        # Whether the clock's register reads as it was written, found out once: emulators have
        # the accelerator, but not always the chip's clocks.
        self._told = None
        self._first = chip_name == "esp32"
        base = self._chip.base
        self._x = base + _X
        self._y = base + _Y
        self._z = base + _Z
        self._clean = base + (_CLEAN_ESP32 if self._first else _CLEAN)
        self._done = base + (_INTERRUPT if self._first else _IDLE)
        self._clear = base + (_INTERRUPT if self._first else _CLEAR_INTERRUPT)

    def can(self, op, what):
        """True for modexp with a modulus of up to the chip's largest N, in bits."""
        return op == "modexp" and 0 < what <= self._chip.max_bits

    def modexp(self, base, exponent, modulus):
        """base ** exponent mod modulus as a bytearray of the modulus' length, all big-endian.

        EngineError: "unsupported" (even modulus, operand zero or too large), "timeout",
        "powered-down" (another user switched it off), "wrong-result".
        """
        size = len(modulus)
        if not self.can("modexp", 8 * size) or not modulus[-1] & 1:
            raise EngineError("unsupported")
        words, r_bar, m_prime = self._constants(bytes(modulus))
        m = _padded(modulus, 4 * words)
        x = _padded(base, 4 * words)
        if x >= m or not 0 < len(exponent) <= size or not max(exponent):
            raise EngineError("unsupported")
        y = _padded(exponent, len(exponent) + 3 & ~3)
        loop = self._prefers_loop(size, len(y))
        self.method = "montgomery" if loop else "one-shot"
        run = self._montgomery if loop else self._one_shot
        result = bytearray(4 * words)
        answer = None
        try:
            self._power_up()
            self._mem.load(self._chip.base + _M, m, words)
            self._mem.write(self._chip.base + _M_PRIME, m_prime)
            if not loop:
                self._set_up(y, words)
            run(x, y, words, r_bar)
            self._read(result)
            run(x, y, words, r_bar)
            self._compare(result)
            self._check_power()
            if loop and result >= m:
                value = int.from_bytes(result, "big") - int.from_bytes(m, "big")
                result[:] = value.to_bytes(4 * words, "big")
            # r-bar is what stands there when nothing was started.
            if result == r_bar or result >= m or not any(result):
                raise EngineError("wrong-result")
            answer = result if size == 4 * words else result[4 * words - size :]
        finally:
            self._power_down(words)
            wipe(y)
            if answer is not result:
                wipe(result)
        return answer

    def _prefers_loop(self, modulus_bytes, exponent_bytes):
        return (
            self._first
            and self._mem.tables
            and 8 * modulus_bytes >= _MONTGOMERY_BITS
            and exponent_bytes <= _MONTGOMERY_EXPONENT
        )

    def _constants(self, modulus):
        """(words of the operands, r-bar = 2^2N mod M, M' = -1/M mod 2^32), kept for two moduli."""
        for known in self._moduli:
            if known[0] == modulus:
                return known[1:]
        step = self._chip.step_bits
        bits = (8 * len(modulus) + step - 1) // step * step
        m = int.from_bytes(modulus, "big")
        low = m & 0xFFFFFFFF
        # Newton: an inverse modulo 2 is one modulo 4, 16, 256, 2^16, 2^32 after as many rounds.
        inverse = 1
        for _ in range(5):
            inverse = inverse * (2 - low * inverse) & 0xFFFFFFFF
        r_bar = ((1 << 2 * bits) % m).to_bytes(bits // 8, "big")
        known = (modulus, bits // 32, r_bar, -inverse & 0xFFFFFFFF)
        self._moduli = [known] + self._moduli[:1]
        return known[1:]

    # Z = X^Y mod M, by the accelerator. It overwrites X and Z, and keeps all else.

    def _set_up(self, secret, words):
        write = self._mem.write
        registers = self._chip.base
        write(registers + _MODE, 32 * words // self._chip.step_bits - 1)
        if not self._first:
            write(registers + _INTERRUPT_ENABLE, 0)
            write(registers + _CONSTANT_TIME, 1)
            write(registers + _SEARCH_ENABLE, 1)
            write(registers + _SEARCH_POS, 8 * len(secret) - 1)
        self._mem.load(self._y, secret, words)

    def _one_shot(self, base, _, words, r_bar):
        self._mem.load(self._x, base, words)
        self._mem.load(self._z, r_bar, words)
        self._start(self._chip.base + (_START_ESP32 if self._first else _START))

    # The same on the original ESP32, by Z = X * Z / 2^N mod M. A result may be M or more:
    # it remains right modulo M, as the operand of the next multiplication as well.

    def _montgomery(self, base, secret, words, r_bar):
        mem = self._mem
        x = self._x
        z = self._z
        mem.write(self._chip.base + _MULT_MODE, 32 * words // self._chip.step_bits - 1)
        table = bytearray(16 * words)  # base^0 ... base^3, times 2^N
        try:
            for entry, factor in enumerate((_ONE, base)):
                mem.load(z, r_bar, words)
                mem.load(x, factor, words)
                self._multiply()
                mem.keep(table, entry, z, words)
            for entry in (2, 3):
                mem.pick(x, table, 1, words)
                self._multiply()
                mem.keep(table, entry, z, words)
            mem.pick(z, table, 0, words)
            for byte in secret:
                for shift in (6, 4, 2, 0):
                    mem.move(x, z, words)
                    self._multiply()
                    mem.move(x, z, words)
                    self._multiply()
                    mem.pick(x, table, byte >> shift & 3, words)
                    self._multiply()
        finally:
            wipe(table)
        mem.load(x, _ONE, words)
        self._multiply()

    def _multiply(self):
        self._start(self._chip.base + _MULT_START)

    def _start(self, register):
        self._mem.write(self._clear, 1)
        self._mem.write(register, 1)
        self._wait(self._done, _RUN_MS)

    def _wait(self, register, limit_ms):
        read = self._mem.read
        ticks = self._mem.ticks
        start = ticks()
        while read(register) != 1:
            if ticks() - start & 0x3FFFFFFF > limit_ms:
                self._check_power()
                self._pulse_reset()
                raise EngineError("timeout")

    # A read may be wrong on the original ESP32: it counts when a second one agrees.

    def _read(self, result):
        for _ in range(_READS):
            self._mem.dump(self._z, result)
            if not self._first or self._mem.holds(self._z, result):
                break

    def _compare(self, result):
        for _ in range(_READS):
            if self._mem.holds(self._z, result):
                return
        raise EngineError("wrong-result")

    # Clock, reset and power lie in registers shared with other peripherals.

    def _power_up(self):
        change = self._mem.change
        chip = self._chip
        change(chip.clock[0], 0, chip.clock[1])
        if self._told is None:
            self._told = self._clock_is_on()
        if chip.memory:
            change(chip.memory[0], chip.memory[1], 0)
        self._pulse_reset()
        for address, mask in chip.held:
            change(address, mask, 0)
        self._wait(self._clean, _CLEAN_MS)

    def _pulse_reset(self):
        address, mask = self._chip.reset
        self._mem.change(address, 0, mask)
        self._mem.change(address, mask, 0)

    def _power_down(self, words):
        chip = self._chip
        for block in (self._x, self._y, self._z):
            self._mem.load(block, b"", words)
        self._mem.write(self._clear, 1)
        if chip.memory:
            self._mem.change(chip.memory[0], 0, 1)
        self._mem.change(chip.clock[0], chip.clock[1], 0)

    def _check_power(self):
        read = self._mem.read
        chip = self._chip
        on = self._clock_is_on() or not self._told
        if chip.memory and read(chip.memory[0]) & chip.memory[1]:
            on = False
        if not on:
            raise EngineError("powered-down")

    def _clock_is_on(self):
        address, mask = self._chip.clock
        return self._mem.read(address) & mask == mask


def _padded(number, size):
    """The big-endian number as a new bytearray of this size."""
    start = size - len(number)
    if start < 0:
        raise EngineError("unsupported")
    out = bytearray(size)
    out[start:] = number
    return out
