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

# The loop spares silicon the bits that the one-shot scans in vain, but costs the interpreter some
# 400 rounds: worth it from group 15 on, and for the short exponents of Diffie-Hellman.
_MONTGOMERY_BITS = const(3072)
_MONTGOMERY_EXPONENT = const(64)  # bytes


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
        self._moduli = []  # what _known() returns, latest first
        self.method = None
        self._first = chip_name == "esp32"
        # One result counts when the next agrees. The original ESP32 before v3.0 may also misread
        # the bus while both cores are active: it gets more chances.
        self._repeats = 3 if self._first else 1
        chip = self._chip
        base = chip.base
        self._read_word = mem.read
        self._write = mem.write
        self._m = base + _M
        self._x = base + _X
        self._y = base + _Y
        self._z = base + _Z
        self._clean = base + (_CLEAN_ESP32 if self._first else _CLEAN)
        self._start_one_shot = base + (_START_ESP32 if self._first else _START)
        self._start_multiply = base + _MULT_START
        self._done = base + (_INTERRUPT if self._first else _IDLE)
        self._clear = base + (_INTERRUPT if self._first else _CLEAR_INTERRUPT)
        # Clock, reset and power lie in registers shared with other peripherals.
        clock, on = chip.clock
        reset, pulse = chip.reset
        self._on = [(clock, 0, on)]
        self._off = [(clock, on, 0)]
        self._signs = [(clock, on, on)]  # (address, mask, bits) while all is on
        self._shown = None  # those of them that this chip shows
        if chip.memory:
            address, mask = chip.memory
            self._signs.append((address, mask, 0))
            self._on.append((address, mask, 0))
            self._off.insert(0, (address, 0, 1))
        self._reset = [(reset, 0, pulse), (reset, pulse, 0)]
        self._on += self._reset + [(address, mask, 0) for address, mask in chip.held]

    def can(self, op, what):
        """True for modexp with a modulus of up to the chip's largest N, in bits."""
        return op == "modexp" and 0 < what <= self._chip.max_bits

    def modexp(self, base, exponent, modulus):
        """base ** exponent mod modulus as a bytearray of the modulus' length, all big-endian.

        EngineError: "unsupported" (even modulus, operand zero or too large), "timeout",
        "powered-down" (another user switched it off), "wrong-result".
        """
        _, words, r_bar, m, m_prime, loop = self._known(modulus)
        size = len(modulus)
        if not 0 < len(exponent) <= size or exponent == bytes(len(exponent)):
            raise EngineError("unsupported")
        if len(base) > size or len(base) == size and base >= modulus:
            raise EngineError("unsupported")
        mem = self._mem
        x = bytearray(4 * words)
        mem.reverse(x, base, len(base))
        loop = loop and len(exponent) <= _MONTGOMERY_EXPONENT
        self.method = "montgomery" if loop else "one-shot"
        run = self._montgomery if loop else self._one_shot
        result = bytearray(4 * words)
        try:
            self._power_up()
            mem.move(self._m, m, words)
            self._write(self._m + _M_PRIME, m_prime)
            if not loop:
                self._set_up(exponent, words)
            run(x, exponent, words, r_bar)
            mem.move(result, self._z, words)
            for _ in range(self._repeats):
                run(x, exponent, words, r_bar)
                if not mem.differs(self._z, result, words):
                    break
                mem.move(result, self._z, words)
            else:
                raise EngineError("wrong-result")
            self._check_power()
            if loop:
                _reduce(result, m)
            # r-bar is what stands there when nothing was started.
            if result == r_bar or any(result[size:]):
                raise EngineError("wrong-result")
            answer = bytearray(size)
            mem.reverse(answer, result, size)
        finally:
            self._power_down(words)
            mem.zero(result, words)
        if answer >= modulus or not any(answer):
            wipe(answer)
            raise EngineError("wrong-result")
        return answer

    def _known(self, modulus):
        """What a modulus needs, computed once for each of the last two:

        (modulus, its words on the accelerator, r-bar = 2^2N mod M and M as they lie there,
        M' = -1/M mod 2^32, whether the loop is worth it)
        """
        for known in self._moduli:
            if known[0] == modulus:
                return known
        if not self.can("modexp", 8 * len(modulus)) or not modulus[-1] & 1 or not modulus[0]:
            raise EngineError("unsupported")
        step = self._chip.step_bits
        bits = (8 * len(modulus) + step - 1) // step * step
        m = int.from_bytes(modulus, "big")
        low = m & 0xFFFFFFFF
        # Newton: an inverse modulo 2 is one modulo 4, 16, 256, 2^16, 2^32 after as many rounds.
        inverse = 1
        for _ in range(5):
            inverse = inverse * (2 - low * inverse) & 0xFFFFFFFF
        r_bar = ((1 << 2 * bits) % m).to_bytes(bits // 8, "little")
        m = m.to_bytes(bits // 8, "little")
        loop = self._first and self._mem.tables and bits >= _MONTGOMERY_BITS
        known = (bytes(modulus), bits // 32, r_bar, m, -inverse & 0xFFFFFFFF, loop)
        self._moduli = [known] + self._moduli[:1]
        return known

    # Z = X^Y mod M, by the accelerator. It overwrites X and Z, and keeps all else.

    def _set_up(self, secret, words):
        write = self._write
        registers = self._m
        write(registers + _MODE, 32 * words // self._chip.step_bits - 1)
        if not self._first:
            write(registers + _INTERRUPT_ENABLE, 0)
            write(registers + _CONSTANT_TIME, 1)
            write(registers + _SEARCH_ENABLE, 1)
            write(registers + _SEARCH_POS, 8 * len(secret) - 1)
        mem = self._mem
        y = bytearray(4 * words)
        mem.reverse(y, secret, len(secret))
        mem.move(self._y, y, words)
        mem.zero(y, words)

    def _one_shot(self, x, _, words, r_bar):
        move = self._mem.move
        move(self._x, x, words)
        move(self._z, r_bar, words)
        self._start(self._start_one_shot)

    # The same on the original ESP32, by Z = X * Z / 2^N mod M. A result may be M or more:
    # it remains right modulo M, as the operand of the next multiplication as well.

    def _montgomery(self, base, secret, words, r_bar):
        mem = self._mem
        x = self._x
        z = self._z
        mem.write(self._chip.base + _MULT_MODE, 32 * words // self._chip.step_bits - 1)
        table = bytearray(16 * words)  # base^0 ... base^3, times 2^N
        one = (1).to_bytes(4 * words, "little")
        try:
            for entry, factor in enumerate((one, base)):
                mem.move(z, r_bar, words)
                mem.move(x, factor, words)
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
            mem.zero(table, 4 * words)
        mem.move(x, one, words)
        self._multiply()

    def _multiply(self):
        self._start(self._start_multiply)

    def _start(self, register):
        self._write(self._clear, 1)
        self._write(register, 1)
        self._wait(self._done, _RUN_MS)

    def _wait(self, register, limit_ms):
        read = self._read_word
        ticks = self._mem.ticks
        start = None
        while read(register) != 1:
            if start is None:
                start = ticks()
            if ticks() - start & 0x3FFFFFFF > limit_ms:
                self._check_power()
                self._mem.change(self._reset)
                raise EngineError("timeout")

    def _power_up(self):
        self._mem.change(self._on)
        # Found out once: emulators have the accelerator, but not always the chip's clocks.
        if self._shown is None:
            read = self._read_word
            self._shown = [sign for sign in self._signs if read(sign[0]) & sign[1] == sign[2]]
        self._wait(self._clean, _CLEAN_MS)

    def _power_down(self, words):
        zero = self._mem.zero
        zero(self._x, words)
        zero(self._y, words)
        zero(self._z, words)
        self._write(self._clear, 1)
        self._mem.change(self._off)

    def _check_power(self):
        for address, mask, bits in self._shown:
            if self._read_word(address) & mask != bits:
                raise EngineError("powered-down")


def _reduce(result, modulus):
    """The same number modulo M, of one that may be M too large; both little-endian."""
    value = int.from_bytes(result, "little") - int.from_bytes(modulus, "little")
    if value >= 0:
        result[:] = value.to_bytes(len(result), "little")
