"""What an engine must do on the model: the real one, or one that lacks a step and must fail."""

import hal
from hal import EngineError
from mpi.groups import prime
from mpi.model import CHIPS, Model

EXPONENT = bytes(range(0x9D, 0x9D + 32))

# CONSTANT_TIME, SEARCH_ENABLE, SEARCH_POS as another user may have left them.
SETTINGS = ((0, 0, 3), (0, 1, 3), (1, 1, 4095))

# fault: the code it must be refused with; None: healed by reading again
FAULTS = {
    "stuck-busy": "timeout",
    "wrong-bit": "wrong-result",
    "clock-off": "powered-down",
    "memory-off": "powered-down",
    "held-reset": "timeout",
    "never-started": "wrong-result",
    "zero": "wrong-result",
    "too-large": "wrong-result",
}


def base_below(modulus):
    base = bytes((i * 37 + 11) & 0xFF for i in range(len(modulus)))
    return bytes([modulus[0] >> 1]) + base[1:]


def power(base, exponent, modulus):
    number = pow(*(int.from_bytes(part, "big") for part in (base, exponent, modulus)))
    return number.to_bytes(len(modulus), "big")


def check(good, *what):
    if not good:
        raise AssertionError(what)


def does(engine, model, base, exponent, modulus):
    """One exponentiation: right, everything wiped but the answer, everything off."""
    model.buffers = []
    answer = engine.modexp(base, exponent, modulus)
    check(answer == power(base, exponent, modulus), "wrong answer")
    check(model.buffers, "no buffer seen")
    for buffer in model.buffers:
        check(buffer is answer or not any(buffer), "secret left in RAM")
    model.check_quiet()
    return answer


def refuses(engine, model, base, exponent, modulus, code):
    """EngineError with this code, and everything wiped and off."""
    model.buffers = []
    try:
        engine.modexp(base, exponent, modulus)
    except EngineError as error:
        check(error.code == code, error.code, "instead of", code)
    else:
        check(False, "not refused", code)
    for buffer in model.buffers:
        check(not any(buffer), "secret left in RAM")
    model.check_quiet()


def work(model, method, modulus, exponent):
    """Multiplications of one call: they depend on the lengths alone."""
    bits = 8 * len(exponent)
    if method == "montgomery":
        return 2 * (4 + 3 * bits // 2 + 1)
    scanned = -(-8 * len(modulus) // 512) * 512 if model.first else bits
    return 2 * 2 * scanned


def computes(engine_class, chip, modulus, method="one-shot", settings=SETTINGS):
    """Two calls in a row, from each state that another user may have left."""
    base = base_below(modulus)
    for setting in settings:
        model = Model(chip, settings=setting)
        engine = engine_class(chip, model)
        for exponent in (EXPONENT, b"\0" * 28 + EXPONENT[:3] + b"\1"):
            model.multiplications = 0
            does(engine, model, base, exponent, modulus)
            check(engine.method == method, engine.method)
            expected = work(model, method, modulus, exponent)
            check(model.multiplications == expected, model.multiplications, expected)


def leaves_no_trace(engine_class, chip, modulus):
    """What the bus sees does not depend on the exponent; Z is read no oftener than need be."""
    traces = []
    for exponent in (EXPONENT[:8], b"\0" * 7 + b"\1", b"\xff" * 8):
        model = Model(chip)
        engine_class(chip, model).modexp(base_below(modulus), exponent, modulus)
        traces.append(model.trace)
    check(traces[0] == traces[1] == traces[2], "the trace depends on the exponent")
    check(model.reads_of_z == 2, model.reads_of_z)


def withstands(engine_class, chip, modulus):
    base = base_below(modulus)
    for fault, code in FAULTS.items():
        if fault == "memory-off" and not CHIPS[chip][6]:
            continue
        model = Model(chip, fault)
        refuses(engine_class(chip, model), model, base, EXPONENT, modulus, code)


class Silent(Model):
    """An emulator: it has the accelerator, but its clock and power registers read 0 always."""

    def read(self, address):
        return 0 if address in self.shared else super().read(address)


def makes_do_without_clocks(engine_class, modulus):
    model = Silent("esp32")
    does(engine_class("esp32", model), model, base_below(modulus), EXPONENT, modulus)


def reads_again(engine_class, modulus):
    """The original ESP32's bus: a wrong bit in a read is healed, lasting noise is refused."""
    base = base_below(modulus)
    for seed in range(1, 4):
        model = Model("esp32", "misread", seed=seed)
        does(engine_class("esp32", model), model, base, EXPONENT, modulus)
    model = Model("esp32", "noise")
    refuses(engine_class("esp32", model), model, base, EXPONENT, modulus, "wrong-result")


def takes_a_short_base(engine_class, modulus):
    """Shorter than the modulus, and so below it, whatever its first bytes are."""
    model = Model("esp32s3")
    does(engine_class("esp32s3", model), model, b"\xff" * 9, EXPONENT, modulus)


def keeps_constants(engine_class, modulus):
    """r-bar and M' are computed once for each of the last two moduli."""
    engine = engine_class("esp32s3", Model("esp32s3"))
    known = engine._known(modulus)
    check(engine._known(modulus) is known, "not kept")
    engine._known(modulus[:-1] + b"\x01")
    check(engine._known(modulus) is known, "not kept beside another")
    for last in (3, 5, 7):
        engine._known(modulus[:-1] + bytes([last]))
    check(len(engine._moduli) == 2, "kept for ever")


def chooses_its_method(engine_class):
    """The loop only for large moduli and short exponents, with tables, on the original ESP32."""
    large = prime(15)
    for chip, tables, size, modulus, method in (
        ("esp32", True, 64, large, "montgomery"),
        ("esp32", True, 65, large, "one-shot"),
        ("esp32", False, 32, large, "one-shot"),
        ("esp32", True, 32, prime(2), "one-shot"),
        ("esp32s3", True, 32, large, "one-shot"),
    ):
        model = Model(chip)
        model.tables = tables
        engine = engine_class(chip, model)
        check(engine.method is None, "method before the first use")
        does(engine, model, base_below(modulus), b"\x5a" * size, modulus)
        check(engine.method == method, chip, tables, size, engine.method)


def drives_the_board_by_default(engine_class, modulus):
    """Without a memory given, it is hal.memory; here a model stands in its place."""
    before = getattr(hal, "memory", None)
    hal.memory = Model("esp32c3")
    try:
        does(engine_class("esp32c3"), hal.memory, base_below(modulus), EXPONENT, modulus)
    finally:
        hal.memory = before
        if before is None:
            del hal.memory


def knows_its_limits(engine_class, modulus):
    model = Model("esp32c3")
    engine = engine_class("esp32c3", model)
    check(engine.can("modexp", 3072) and not engine.can("modexp", 3073))
    check(not engine.can("modexp", 0) and not engine.can("hash", 1024))
    model._pending = 0  # nothing may be switched on for these: the quiet state is ours
    for field in model.memory:
        model._set(*field, 1)
    base = base_below(modulus)
    zero = bytes(len(modulus))
    for bad in (
        (base, EXPONENT, modulus[:-1] + b"\xfe"),
        (base[1:], EXPONENT, b"\0" + modulus[1:]),
        (base, EXPONENT, modulus * 4),
        (modulus, EXPONENT, modulus),
        (b"\1" + base, EXPONENT, modulus),
        (base, zero, modulus),
        (base, b"", modulus),
        (base, b"\1" + zero, modulus),
        (base, EXPONENT, b""),
    ):
        refuses(engine, model, *bad, "unsupported")
    check(model.runs == 0, "started")
    # Nobody needs this one, so nobody looks for it: a result of 0 is refused.
    refuses(engine, model, zero, EXPONENT, modulus, "wrong-result")
    try:
        engine_class("esp32c2")
    except EngineError as error:
        check(error.code == "unsupported", error.code)
    else:
        check(False, "a chip without the accelerator")


def all_of_them(engine_class):
    """Every promise, on the smallest operands that show it, the quickest first."""
    small = prime(2)
    for chip in ("esp32", "esp32s2", "esp32h2", "esp32p4"):
        computes(engine_class, chip, small)
    odd = b"\x83" + small[1:61] + b"\1"  # 496 bits: not a multiple of the ESP32's step
    computes(engine_class, "esp32", odd, settings=SETTINGS[:1])
    computes(engine_class, "esp32s3", odd, settings=SETTINGS[:1])
    withstands(engine_class, "esp32s3", odd)
    knows_its_limits(engine_class, small)
    keeps_constants(engine_class, small)
    takes_a_short_base(engine_class, small)
    drives_the_board_by_default(engine_class, small)
    leaves_no_trace(engine_class, "esp32s3", small)
    leaves_no_trace(engine_class, "esp32", small)
    reads_again(engine_class, small)
    makes_do_without_clocks(engine_class, small)
    for chip in ("esp32", "esp32s3", "esp32c6"):
        withstands(engine_class, chip, small)
    loop = b"\x83" + prime(15)  # 3080 bits of 3584: products of M and more fit the block
    leaves_no_trace(engine_class, "esp32", loop)
    computes(engine_class, "esp32", loop, "montgomery", settings=SETTINGS[:1])
    chooses_its_method(engine_class)
