# micropython: heapsize=4m deadline=120
"""The MPI engine on the model: every chip, every group, every fault."""

from hal import Hal, software
from hal.mpi import Engine
from mpi import scenarios
from mpi.groups import groups, prime
from mpi.model import CHIPS, Model


def _every_group(chip):
    largest = 32 * CHIPS[chip][1]
    done = []
    for group in groups():
        modulus = prime(group)
        bits = 8 * len(modulus)
        assert Engine(chip, Model(chip)).can("modexp", bits) == (bits <= largest)
        if bits <= largest:
            loop = chip == "esp32" and bits >= 3072
            method = "montgomery" if loop else "one-shot"
            scenarios.computes(Engine, chip, modulus, method, scenarios.SETTINGS[:1])
            done.append(group)
    assert done == ([2, 5, 14, 15, 16] if largest == 4096 else [2, 5, 14, 15])


def test_every_group_esp32():
    _every_group("esp32")


def test_every_group_esp32s2():
    _every_group("esp32s2")


def test_every_group_esp32s3():
    _every_group("esp32s3")


def test_every_group_esp32c3():
    _every_group("esp32c3")


def test_every_group_esp32c5():
    _every_group("esp32c5")


def test_every_group_esp32c6():
    _every_group("esp32c6")


def test_every_group_esp32h2():
    _every_group("esp32h2")


def test_every_group_esp32p4():
    _every_group("esp32p4")


def test_one_shot_of_the_esp32_in_every_group():
    """Without the viper copies there is no table of powers."""
    for group in groups():
        model = Model("esp32")
        model.tables = False
        engine = Engine("esp32", model)
        modulus = prime(group)
        scenarios.does(engine, model, scenarios.base_below(modulus), scenarios.EXPONENT, modulus)
        assert engine.method == "one-shot"


def test_the_method_is_chosen_by_chip_and_size():
    scenarios.chooses_its_method(Engine)


def test_the_boards_memory_is_the_default():
    scenarios.drives_the_board_by_default(Engine, prime(2))


def test_results_of_at_least_the_modulus():
    """Moduli that leave room in the block: the model's products then are often M too large."""
    for size in (385, 417, 449):
        modulus = b"\x01" + bytes(range(3, 3 + 64)) * 8
        modulus = modulus[: size - 1] + b"\x0b"
        scenarios.computes(Engine, "esp32", modulus, "montgomery", scenarios.SETTINGS[:1])


def test_every_fault():
    for chip in CHIPS:
        scenarios.withstands(Engine, chip, prime(2))


def test_every_fault_in_the_loop():
    scenarios.withstands(Engine, "esp32", prime(15))


def test_misread_bus():
    scenarios.reads_again(Engine, prime(14))


def test_bus_trace_is_independent_of_the_exponent():
    scenarios.leaves_no_trace(Engine, "esp32", prime(2))
    scenarios.leaves_no_trace(Engine, "esp32", prime(15))
    scenarios.leaves_no_trace(Engine, "esp32c3", prime(2))


def test_constants_are_kept():
    scenarios.keeps_constants(Engine, prime(2))


def test_short_base():
    scenarios.takes_a_short_base(Engine, prime(2))


def test_limits():
    scenarios.knows_its_limits(Engine, prime(2))


def _hal(chip, fault=None):
    model = Model(chip, fault)
    events = []
    hal = Hal([Engine(chip, model), software.Engine()], events.append)
    return hal, model, events


def _modexp(hal, group):
    modulus = prime(group)
    base = scenarios.base_below(modulus)
    answer = hal.modexp(base, scenarios.EXPONENT, modulus)
    assert answer == scenarios.power(base, scenarios.EXPONENT, modulus)


def test_hal_prefers_the_accelerator():
    hal, _, events = _hal("esp32s3")
    _modexp(hal, 2)
    assert hal.counts["modexp"] == {"mpi": 1}
    assert events == []


def test_hal_takes_software_where_the_chip_is_too_small():
    hal, model, events = _hal("esp32c3")
    _modexp(hal, 16)
    assert hal.counts["modexp"] == {"software": 1}
    assert model.runs == 0
    assert events == []  # by the chip's data, not by accident


def test_hal_strikes_off_an_engine_that_fails_its_known_answer():
    for fault, code in scenarios.FAULTS.items():
        hal, _, events = _hal("esp32s3", fault)
        _modexp(hal, 2)
        assert hal.counts["modexp"] == {"software": 1}
        assert events[0] == {
            "event": "engine", "engine": "mpi", "op": "modexp", "what": 1024, "why": code
        }  # fmt: skip


def test_hal_falls_back_when_a_proven_engine_fails():
    for fault, code in scenarios.FAULTS.items():
        hal, model, events = _hal("esp32s3")
        _modexp(hal, 2)
        model.fault = fault
        _modexp(hal, 2)
        assert hal.counts["modexp"] == {"mpi": 1, "software": 1}
        assert hal.failures == {"mpi:modexp": {code: 1}}
        assert len(events) == 1
