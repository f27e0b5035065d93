# micropython: heapsize=1m
"""The model itself: it must be as strict as the manuals, or it proves nothing."""

from hal import chips
from mpi.groups import prime
from mpi.model import (
    CHIPS,
    M_PRIME,
    M,
    Misuse,
    Model,
    X,
    Y,
    Z,
    inverse,
    modexp_by_steps,
    montgomery,
)

_WORDS = 8
_M = (1 << 255) + (1 << 200) + 95
_X = 0x1234567 << 220
_Y = 0xB6F3
_R = 1 << 32 * _WORDS
_PRIME = -inverse(_M, 1 << 32) & 0xFFFFFFFF


def _ready(chip="esp32c3", **options):
    """A model, powered up by hand."""
    model = Model(chip, **options)
    _switch(model, [model.clock], True)
    _switch(model, model.memory, False)
    _switch(model, [model.reset], True)
    _switch(model, [model.reset] + model.held, False)
    clean = _register(model, "clean")
    while model.read(clean) != 1:
        pass
    return model


def _switch(model, fields, on):
    for address, mask in fields:
        model.change([(address, 0 if on else mask, mask if on else 0)])


def _register(model, name):
    return next(address for address, found in model.names.items() if found == name)


def _load(model, block, number):
    model.move(model.base + block, number.to_bytes(4 * _WORDS, "little"), _WORDS)


def _result(model):
    data = bytearray(4 * _WORDS)
    model.move(data, model.base + Z, _WORDS)
    return int.from_bytes(data, "little")


def _run(model, m_prime=_PRIME, r_bar=_R * _R % _M, position=15, busy=False):
    for block, number in ((M, _M), (X, _X), (Y, _Y), (Z, r_bar)):
        _load(model, block, number)
    model.write(model.base + M_PRIME, m_prime)
    model.write(_register(model, "modexp_mode"), _WORDS - 1)
    model.write(_register(model, "interrupt_enable"), 0)
    model.write(_register(model, "search_enable"), 1)
    model.write(_register(model, "search_pos"), position)
    model.write(_register(model, "modexp_start"), 1)
    idle = _register(model, "idle")
    while not busy and model.read(idle) != 1:
        pass
    return _result(model)


def _refused(function, *arguments):
    try:
        function(*arguments)
    except Misuse:
        return
    raise AssertionError("not refused")


def test_the_two_tables_of_chips_agree():
    for name, row in CHIPS.items():
        chip = chips.find(name)
        assert chip.base == row[0]
        assert chip.max_bits == 32 * row[1]
        assert chip.step_bits == row[2]
        assert (chip.clock, chip.reset) == row[3:5]
        for fields, found in ((row[5], chip.held), (row[6], [chip.memory] if row[6] else [])):
            masks = {}
            for address, mask in fields:
                masks[address] = masks.get(address, 0) | mask
            assert dict(found) == masks
    assert chips.find("esp32c2") is None


def test_montgomery_product():
    for words, m in ((_WORDS, _M), (32, int.from_bytes(prime(2), "big"))):
        r = 1 << 32 * words
        product = montgomery(m - 2, m // 3, m, -inverse(m, 1 << 32) & 0xFFFFFFFF, words)
        assert product % m == (m - 2) * (m // 3) * inverse(r, m) % m
        assert product < r


def test_montgomery_product_takes_operands_above_the_modulus():
    m = (1 << 200) + 9
    m_prime = -inverse(m, 1 << 32) & 0xFFFFFFFF
    product = montgomery(_R - 1, _R - 3, m, m_prime, _WORDS)
    assert product % m == (_R - 1) * (_R - 3) * inverse(_R, m) % m
    assert m <= product < _R


def test_exponentiation():
    assert _run(_ready()) == pow(_X, _Y, _M)


def test_r_bar_is_used_and_the_short_cut_agrees_with_the_steps():
    for r_bar in (_R * _R % _M, _R % _M, 12345):
        steps = modexp_by_steps(_X, _Y, _M, _PRIME, r_bar, _WORDS, 16) % _M
        assert _run(_ready(), r_bar=r_bar) == steps
        assert _run(_ready(exact=True), r_bar=r_bar) == steps
        assert (steps == pow(_X, _Y, _M)) == (r_bar == _R * _R % _M)


def test_m_prime_is_used():
    assert _run(_ready(), m_prime=_PRIME ^ 4) != pow(_X, _Y, _M)


def test_the_scan_starts_at_the_search_position():
    assert _run(_ready(), position=14) == pow(_X, _Y & 0x7FFF, _M)
    assert _run(_ready(), position=200) == pow(_X, _Y, _M)


def test_without_constant_time_the_work_tells_the_exponent():
    for constant, expected in ((1, 32), (0, 16 + 11)):
        model = _ready(settings=(constant, 1, 0))
        _run(model)
        assert model.multiplications == expected


def test_a_result_before_it_is_done_is_rubbish():
    model = _ready()
    assert _run(model, busy=True) != pow(_X, _Y, _M)
    _refused(_load, model, X, _X)


def test_exponentiation_overwrites_x():
    model = _ready()
    _run(model)
    data = bytearray(4 * _WORDS)
    model.move(data, model.base + X, _WORDS)
    assert int.from_bytes(data, "little") != _X


def test_out_of_reach():
    for fields, on in (("clock", False), ("memory", True), ("reset", True), ("held", True)):
        model = _ready()
        fields = getattr(model, fields)
        # Another user's doing only reads as nothing; the driver's own is misuse.
        _switch(model, fields if isinstance(fields, list) else [fields], on)
        _refused(_load, model, X, _X)
        _refused(_result, model)


def test_reset_zeroes_and_power_up_does_not():
    model = _ready()
    _load(model, X, _X)
    _switch(model, [model.reset], True)
    _switch(model, [model.reset], False)
    while model.read(_register(model, "clean")) != 1:
        pass
    assert not any(model._blocks[X])
    _switch(model, model.memory, True)
    _switch(model, model.memory, False)
    assert any(model._blocks[X])
    assert model.read(_register(model, "clean")) == 0


def test_what_is_written_before_clean_is_lost():
    model = _ready()
    _switch(model, [model.reset], True)
    _switch(model, [model.reset], False)
    _load(model, X, _X)
    while model.read(_register(model, "clean")) != 1:
        pass
    assert not any(model._blocks[X])


def test_refusals():
    model = _ready()
    mode = _register(model, "modexp_mode")
    start = _register(model, "modexp_start")
    _refused(model.write, start, 1)  # even modulus
    _load(model, M, _M)
    model.write(mode, 96)
    _refused(model.write, start, 1)  # beyond the blocks
    _refused(model.move, model.base + X, bytes(4 * 97), 97)
    _refused(model.read, model.base + 0x900)
    _refused(model.write, model.base + X, 1 << 32)
    _load(model, X, _X)
    _refused(_switch, model, [model.clock], False)  # not wiped
    _refused(model.write, model.clock[0], 0)  # others' bits
    _refused(model.change, [(model.base + X, 0, 1)])
    _refused(_ready(settings=(1, 0, 0)).check_quiet)


def test_the_done_flag_of_the_esp32_is_sticky():
    model = _ready("esp32")
    done = _register(model, "interrupt")
    assert model.read(done) == 1
    model.write(done, 1)
    assert model.read(done) == 0
