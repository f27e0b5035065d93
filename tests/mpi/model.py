"""A register-level model of the ESP32 family's RSA/MPI accelerator, as its manuals describe it.

It has the interface of `hal.memory`, so the engine drives it as it would a board. It is stricter
than the emulators: results come from Montgomery arithmetic with the M' and r-bar that were
loaded; blocks are out of reach without a clock, without power or in reset, and hold rubbish after
power-up until a reset has zeroed them; a run takes time, and until it is over Z reads as rubbish.

What the driver must never do raises Misuse. What another user of the accelerator, or broken
silicon, may do to the driver is a `fault`, and shows as wrong data only:

    "stuck-busy"     the run never ends
    "wrong-bit"      one bit of a result is wrong, another one each time
    "noise"          a different bit of Z is wrong at each read of it
    "misread"        the first and the fourth read of a block have a wrong bit
    "clock-off" "memory-off" "held-reset"
                     another user does this in the middle of a run
    "never-started"  the start is lost, yet the accelerator reports done
    "zero" "too-large"
                     the result is 0, is not below the modulus

Runs under CPython and MicroPython.
"""

MASK = 0xFFFFFFFF

M, Z, Y, X = 0x000, 0x200, 0x400, 0x600
M_PRIME = 0x800

# Offsets of the registers, by generation.
FIRST = {
    "modexp_mode": 0x804,
    "modexp_start": 0x808,
    "mult_mode": 0x80C,
    "mult_start": 0x810,
    "interrupt": 0x814,
    "clean": 0x818,
}
LATER = {
    "modexp_mode": 0x804,
    "clean": 0x808,
    "modexp_start": 0x80C,
    "modmult_start": 0x810,
    "idle": 0x818,
    "clear_interrupt": 0x81C,
    "constant_time": 0x820,
    "search_enable": 0x824,
    "search_pos": 0x828,
    "interrupt_enable": 0x82C,
}


def bit(address, number):
    return address, 1 << number


# Written down apart from hal/chips.py, so that a slip in one shows:
# base, words of a block, bits of a mode step, clock, reset, other resets, memory power down bits,
# microseconds of a 2048-bit multiplication.
CHIPS = {
    "esp32": (
        0x3FF02000, 128, 512, bit(0x3FF0001C, 2), bit(0x3FF00020, 2),
        [bit(0x3FF00020, 4)], [bit(0x3FF00490, 0)], 19,
    ),
    "esp32s2": (
        0x6003C000, 128, 32, bit(0x3F4C0044, 3), bit(0x3F4C004C, 3),
        [bit(0x3F4C004C, 4)], [bit(0x3F4C0068, 0)], 28,
    ),
    "esp32s3": (
        0x6003C000, 128, 32, bit(0x600C001C, 3), bit(0x600C0024, 3),
        [bit(0x600C0024, 4)], [bit(0x600C0040, 0)], 54,
    ),
    "esp32c3": (
        0x6003C000, 96, 32, bit(0x600C0014, 3), bit(0x600C001C, 3),
        [bit(0x600C001C, 4)], [bit(0x600C0038, 0)], 54,
    ),
    "esp32c5": (
        0x6008A000, 96, 32, bit(0x600960D4, 0), bit(0x600960D4, 1),
        [bit(0x600960E4, 1), bit(0x600960EC, 1)], [bit(0x600960D8, 0), bit(0x600960D8, 2)], 58,
    ),
    "esp32c6": (
        0x6008A000, 96, 32, bit(0x600960D0, 0), bit(0x600960D0, 1),
        [bit(0x600960E0, 1)], [bit(0x600960D4, 0), bit(0x600960D4, 2)], 58,
    ),
    "esp32h2": (
        0x6008A000, 96, 32, bit(0x600960CC, 0), bit(0x600960CC, 1),
        [bit(0x600960DC, 1), bit(0x600960E4, 1)], [bit(0x600960D0, 0), bit(0x600960D0, 2)], 58,
    ),
    "esp32p4": (
        0x50092000, 128, 32, bit(0x500E60A8, 18), bit(0x500E60C8, 21),
        [bit(0x500E60C8, 14), bit(0x500E60C8, 17), bit(0x500E60C8, 20)], [], 54,
    ),
}  # fmt: skip


class Misuse(Exception):
    """The driver did what the manual forbids."""


def montgomery(x, z, m, m_prime, words):
    """X * Z / 2^(32 words), modulo M, word by word as the hardware does, not reduced.

    Below M for X, Z < M, but for one subtraction, which is done only where the result has a bit
    too many. With a wrong M' the low words do not vanish, and what comes out is rubbish.
    """
    total = 0
    for _ in range(words):
        total += (x & MASK) * z
        x >>= 32
        total += (total * m_prime & MASK) * m
        total >>= 32
    return total - m if total >> 32 * words else total


def modexp_by_steps(x, y, m, m_prime, r_bar, words, bits):
    """X^Y mod M from Montgomery products alone, scanning `bits` bits of Y from the top."""
    factor = montgomery(x, r_bar, m, m_prime, words)
    result = montgomery(1, r_bar, m, m_prime, words)
    for i in range(bits - 1, -1, -1):
        result = montgomery(result, result, m, m_prime, words)
        if y >> i & 1:
            result = montgomery(result, factor, m, m_prime, words)
    return montgomery(result, 1, m, m_prime, words)


def inverse(a, m):
    """1/a mod m, by Euclid: pow(a, -1, m) is not there in MicroPython."""
    r0, r1, s0, s1 = m, a % m, 0, 1
    while r1:
        q = r0 // r1
        r0, r1, s0, s1 = r1, r0 - q * r1, s1, s0 - q * s1
    return s0 % m


class Model:
    """One chip's accelerator, in the state in which another user may have left it.

    `settings` are what that user left in CONSTANT_TIME, SEARCH_ENABLE and SEARCH_POS. With
    `exact`, each product is done word by word; without, a whole run is computed by pow() with the
    same result, r-bar's errors included (tests/mpi/test_model.py compares the two).

    `multiplications` and `reads_of_z` count since the model was made; `trace` is a checksum of
    every access, its kind, address and length. `buffers`, when set to a list, takes every buffer
    that had a secret in it. `shared` holds the registers that other peripherals use too.
    """

    tables = True
    power = staticmethod(pow)

    KINDS = ("read", "write", "load", "dump", "move", "keep", "pick", "change", "differs", "zero")
    PRIME = (1 << 31) - 1

    def __init__(self, chip, fault=None, settings=(0, 0, 3), exact=False, seed=1):
        row = CHIPS[chip]
        self.base, self.block_words, self.step, self.clock, self.reset = row[:5]
        self.held, self.memory, self.mult_us = row[5:]
        self.first = chip == "esp32"
        self.names = {self.base + v: k for k, v in (FIRST if self.first else LATER).items()}
        self.fault = fault
        self.exact = exact
        self.trace = 0
        self.reads_of_z = 0
        self.buffers = None
        self.multiplications = 0
        self.runs = 0
        self._state = seed
        self._now_us = 0
        self._busy_until = -1
        self._clean_reads = None  # None: a reset has yet to start the zeroing
        self._reads = 0
        self._polls = 0
        self._cache = {}
        self._upset = False
        self._blocks = {offset: self._rubbish() for offset in (M, Z, Y, X)}
        self._m_prime = self._random()
        self._modes = {"modexp_mode": 0x3FF, "mult_mode": 0x3FF}
        self._constant_time, self._search_enable, self._search_pos = settings
        self._interrupt_enable = 1
        self._pending = 1  # left by the last user; on the ESP32 this is the sticky done flag
        # Unrelated bits stand there, too, and must stay.
        self.shared = {}
        fields = [self.clock, self.reset] + self.held + self.memory
        for address, _ in fields:
            self.shared[address] = self._random()
        for on, group in ((0, [self.clock, self.reset]), (1, self.held + self.memory)):
            for address, mask in group:
                self._set(address, mask, on)
        self._untouched = {}
        for address, value in self.shared.items():
            own = 0
            for other, mask in fields:
                own |= mask if other == address else 0
            self._untouched[address] = (~own & MASK, value & ~own)

    # -- the interface of hal.memory

    def ticks(self):
        self._now_us += 1
        return self._now_us // 1000

    def change(self, steps):
        for step in steps:
            self._change(*step)

    def _change(self, address, off, on):
        self._note("change", address)
        if address not in self.shared or off & on:
            raise Misuse("no shared register, or bits both off and on")
        self._write_shared(address, self.shared[address] & ~off | on)

    def read(self, address):
        self._note("read", address)
        if address in self.shared:
            return self.shared[address]
        block, index = self._place(address)
        if block is not None:
            return int.from_bytes(self._get(block, index, 1), "big")
        return self._read_register(address)

    def write(self, address, value):
        self._note("write", address)
        self._polls = 0
        if not 0 <= value <= MASK:
            raise Misuse("value of more than 32 bits")
        if address in self.shared:
            raise Misuse("shared register written as a whole")
        block, index = self._place(address)
        if block is not None:
            self._put(block, index, value.to_bytes(4, "big"))
            return
        self._write_register(address, value)

    def reverse(self, out, data, size):
        out[:size] = bytes(reversed(data[:size]))
        if self.buffers is not None and any(data is buffer for buffer in self.buffers):
            self.buffers.append(out)

    def zero(self, target, words):
        if not isinstance(target, int):
            target[: 4 * words] = bytes(4 * words)
            return
        self._note("zero", target, words)
        self._put(*self._place(target), bytes(4 * words))

    def move(self, target, source, words):
        if isinstance(source, int):
            data = self._from(source, words)
        elif len(source) == 4 * words:
            data = bytes(reversed(source))
        else:
            raise Misuse("not as many words")
        if not isinstance(target, int):
            self._dump(target, source, data, words)
            return
        self._note("move", target, words)
        block, index = self._place(target)
        if block == Y and self.buffers is not None:
            self.buffers.append(source)
        self._put(block, index, data)

    def _dump(self, target, source, data, words):
        self._note("dump", source, words)
        self.reads_of_z += 1
        target[: 4 * words] = bytes(reversed(data))
        if self.buffers is not None:
            self.buffers.append(target)

    def differs(self, block, data, words):
        self._note("differs", block, words)
        self.reads_of_z += 1
        return int(self._from(block, words) != bytes(reversed(data[: 4 * words])))

    def keep(self, table, entry, source, words):
        self._note("keep", source, words)
        if self.buffers is not None:
            self.buffers.append(table)
        table[4 * words * entry : 4 * words * (entry + 1)] = self._from(source, words)

    def pick(self, target, table, entry, words):
        if not 0 <= entry < 4:
            raise Misuse("no such entry")
        self._note("pick", target, words)
        self._put(*self._place(target), table[4 * words * entry : 4 * words * (entry + 1)])

    def _from(self, source, words):
        return self._get(*self._place(source), words)

    # -- questions of the tests

    def check_quiet(self):
        """Misuse unless all is as a call must leave it: wiped, off, the shared bits as before."""
        if self._on(self.clock):
            raise Misuse("clock left on")
        if self.memory and not self._on(self.memory[0]):
            raise Misuse("memory left on")
        if self._pending and not self._upset:
            raise Misuse("interrupt left pending")
        for address, (mask, value) in self._untouched.items():
            if self.shared[address] & mask != value:
                raise Misuse("another peripheral's bits were changed")

    def upset(self, fields, on):
        """Another user switches bit fields, in the middle of our use."""
        self._upset = True
        for address, mask in fields:
            self._set(address, mask, on)

    # -- power

    def _set(self, address, mask, on):
        value = self.shared[address]
        self.shared[address] = value | mask if on else value & ~mask

    def _on(self, field):
        return self.shared[field[0]] & field[1] != 0

    def _in_reset(self):
        return self._on(self.reset) or any(self._on(field) for field in self.held)

    def _memory_down(self):
        return any(self._on(field) for field in self.memory)

    def _write_shared(self, address, value):
        was_in_reset = self._in_reset()
        was_down = self._memory_down()
        had_clock = self._on(self.clock)
        self.shared[address] = value
        if had_clock and not self._on(self.clock) and not self._upset:
            self._check_wiped()
        if not was_down and self._memory_down():
            if not self._upset:
                self._check_wiped()
            self._clean_reads = None
        if was_down and not self._memory_down():
            self._blocks = {offset: self._rubbish() for offset in self._blocks}
            self._clean_reads = None
        if not was_in_reset and self._on(self.reset):
            self._busy_until = -1
        if was_in_reset and not self._in_reset():
            # Leaving reset starts the zeroing, if there are a clock and powered memory.
            running = self._on(self.clock) and not self._memory_down()
            self._clean_reads = 3 if running else None

    def _check_wiped(self):
        for offset in (X, Y, Z):
            if self._clean_reads == 0 and any(self._blocks[offset]):
                raise Misuse("switched off with an operand in block 0x%03x" % offset)

    def _reachable(self, what):
        """True when the accelerator answers; else Misuse, unless another user is to blame."""
        if not self._on(self.clock):
            trouble = "without a clock"
        elif self._in_reset():
            trouble = "in reset"
        elif what == "block" and self._memory_down():
            trouble = "without power"
        else:
            return True
        if self._upset:
            self._now_us += 100000  # waiting is in vain: let it be over soon
            return False
        raise Misuse(what + " accessed " + trouble)

    # -- blocks: bytes, least significant word first, each word big-endian

    def _place(self, address):
        offset = address - self.base
        if not 0 <= offset < M_PRIME:
            return None, 0
        if address % 4:
            raise Misuse("unaligned")
        return offset & 0x600, (offset & 0x1FF) // 4

    def _busy(self):
        return self._now_us < self._busy_until

    def _get(self, block, index, words):
        """`words` words from `index` on, as a big-endian number."""
        if block is None or index + words > self.block_words:
            raise Misuse("beyond a block")
        if not self._reachable("block"):
            return bytes(4 * words)
        if self._busy() or self._clean_reads != 0:
            return self._rubbish()[: 4 * words]
        if self.first and block != Z:
            return bytes(4 * words)  # write-only there
        data = self._blocks[block]
        end = len(data) - 4 * index
        out = bytearray(data[end - 4 * words : end])
        if self._misreads():
            out[self._random() % len(out)] ^= 1 << self._random() % 8
        return bytes(out)

    def _put(self, block, index, data):
        if block is None or index + len(data) // 4 > self.block_words:
            raise Misuse("beyond a block")
        if not self._reachable("block"):
            return
        if self._busy() and not self._upset:
            raise Misuse("block written during a run")
        if self._clean_reads != 0:
            return  # still being zeroed: what is written now is lost
        end = len(self._blocks[block]) - 4 * index
        self._blocks[block][end - len(data) : end] = data

    def _number(self, block, words):
        return int.from_bytes(self._blocks[block][-4 * words :], "big")

    # -- registers

    def _read_register(self, address):
        self._polls += 1
        if self._polls > 10000:
            raise Misuse("polls for ever")
        name = self.names.get(address)
        if name is None:
            raise Misuse("no register at 0x%08x" % address)
        if not self._reachable("register"):
            return 0
        if name == "clean":
            if self._clean_reads is None:
                return 0
            if self._clean_reads:
                self._clean_reads -= 1
                if self._clean_reads == 0:
                    self._blocks = {offset: bytearray(512) for offset in self._blocks}
            return int(self._clean_reads == 0)
        if name in ("idle", "interrupt"):
            return self._poll(name)
        raise Misuse("read of " + name)

    def _poll(self, name):
        if self._busy():
            # Time flies, so that a test need not poll a thousand times.
            left = self._busy_until - self._now_us
            self._now_us += min(100000, max(1, left // 3))
        if not self._busy() and self._busy_until >= 0:
            self._busy_until = -1
            self._finished()
        elif not self._busy():
            self._now_us += 100000  # nothing runs: waiting is in vain
        if name == "idle":
            return int(not self._busy())
        return self._pending

    def _finished(self):
        self._pending = 1
        if not self.first and self._interrupt_enable:
            raise Misuse("an interrupt that nobody serves")

    def _write_register(self, address, value):
        offset = address - self.base
        name = "m_prime" if offset == M_PRIME else self.names.get(address)
        if name is None:
            raise Misuse("no register at 0x%08x" % address)
        if not self._reachable("register"):
            return
        if name == "m_prime":
            self._m_prime = value
        elif name in self._modes:
            self._modes[name] = value
        elif name in ("interrupt", "clear_interrupt"):
            self._pending &= ~value
        elif name in ("constant_time", "search_enable", "search_pos", "interrupt_enable"):
            setattr(self, "_" + name, value)
        elif name in ("modexp_start", "mult_start"):
            self._start(name)
        else:
            raise Misuse("write to " + name)

    # -- arithmetic

    def _start(self, name):
        if self._busy():
            raise Misuse("started during a run")
        if self._memory_down() or self._clean_reads != 0:
            if self._upset:
                return
            raise Misuse("started without memory")
        mode = self._modes["mult_mode" if name == "mult_start" else "modexp_mode"]
        words = (mode + 1) * self.step // 32
        if words > self.block_words:
            raise Misuse("operands longer than the blocks")
        m = self._number(M, words)
        x = self._number(X, words)
        z = self._number(Z, words)
        if m % 2 == 0 or m == 0:
            raise Misuse("even modulus")
        if name == "mult_start":
            multiplications = 1
            result = self._multiply(x, z, m, words)
        else:
            multiplications, result = self._modexp(x, z, m, words)
            self._blocks[X][-4 * words :] = self._rubbish()[-4 * words :]
        self.multiplications += multiplications
        self.runs += 1
        us = max(1, multiplications * self.mult_us * words * words // 4096)
        self._finish_with(result, words, us, m, multiplications)

    def _finish_with(self, result, words, us, m, multiplications):
        fault = self.fault
        self._busy_until = self._now_us + us
        if fault == "wrong-bit":
            result ^= 1 << self._random() % (32 * words)
        elif fault == "zero":
            result = 0
        elif fault == "too-large":
            result = self._too_large(result, m, words, multiplications)
        elif fault == "stuck-busy":
            self._busy_until = 1 << 60
        elif fault == "never-started":
            result = self._number(Z, words)
        elif fault == "clock-off":
            self.upset([self.clock], False)
        elif fault == "memory-off" and self.memory:
            self.upset(self.memory, True)
        elif fault == "held-reset":
            self.upset(self.held, True)
        data = bytearray((result & (1 << 32 * words) - 1).to_bytes(4 * words, "big"))
        if words < 128:
            data = bytearray(512 - len(data)) + data
        self._blocks[Z] = data

    @staticmethod
    def _too_large(result, m, words, multiplications):
        if multiplications == 1:
            return m
        top = 1 << 32 * words - 1  # right but for this bit, where M leaves room for it
        return m + 2 if m >= top else result | top

    def _true_prime(self, m):
        if m not in self._cache:
            self._cache = {m: -inverse(m, 1 << 32) & MASK}
        return self._cache[m]

    def _multiply(self, x, z, m, words):
        if self.exact or self._m_prime != self._true_prime(m):
            result = montgomery(x, z, m, self._m_prime, words)
        else:
            key = (m, words)
            if key not in self._cache:
                self._cache[key] = inverse(1 << 32 * words, m)
            result = x * z % m * self._cache[key] % m
        # Any representative that fits the block may come out, for the same operands the same.
        if result + m < 1 << 32 * words and result & 4:
            result += m
        return result

    def _modexp(self, x, r_bar, m, words):
        """(multiplications that it takes, X^Y mod M from the r-bar and M' given)."""
        if x >= m:
            raise Misuse("X is not below M")
        y = self._number(Y, words)
        bits = 32 * words
        if not self.first and self._search_enable:
            bits = self._search_pos + 1
            y &= (1 << bits) - 1
        if self.first or self._constant_time:
            multiplications = 2 * bits
        else:
            multiplications = bits
            for i in range(bits):
                multiplications += y >> i & 1
        if self.exact or self._m_prime != self._true_prime(m):
            result = modexp_by_steps(x, y, m, self._m_prime, r_bar, words, bits)
            return multiplications, result % m
        return multiplications, self._closed_form(x, y, m, r_bar, words, bits)

    def _closed_form(self, x, y, m, r_bar, words, bits):
        """modexp_by_steps without the steps: r-bar = e R^2 leaves X^Y e^(2^bits + Y)."""
        key = (x, y, m, r_bar, bits)
        if self._cache.get("key") != key:
            square = (1 << 64 * words) % m
            result = self.power(x, y, m)
            if r_bar != square:
                e = r_bar * inverse(square, m) % m
                result = result * pow(e, (1 << bits) + y, m) % m
            self._cache["key"] = key
            self._cache["result"] = result
        return self._cache["result"]

    # -- helpers

    def _note(self, kind, address, words=1):
        self._now_us += 1
        self.trace = (
            self.trace * 31 + 7 * address + 5 * words + self.KINDS.index(kind)
        ) % self.PRIME

    def _misreads(self):
        self._reads += 1
        return self.fault == "noise" or (self.fault == "misread" and self._reads in (1, 4))

    def _random(self):
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return self._state >> 32

    def _rubbish(self):
        word = self._random() | 1
        return bytearray(word.to_bytes(4, "big") * 128)
