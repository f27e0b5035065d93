"""Random operands, 1 000 for each group and engine: software, and mpi on the model.

The model computes the accelerator's runs by OpenSSL, for speed; the products of the ESP32's loop
are its own.
"""

import random
from collections import Counter
from itertools import cycle

import pytest
from cryptography.hazmat.primitives.asymmetric import dh

from hal import software
from hal.mpi import Engine
from mpi.groups import groups, prime
from mpi.model import CHIPS, Model

PARTS = 4  # of the operands of a group, for as many processors
OPERANDS = 1000 // PARTS


def _by_openssl(base: int, exponent: int, modulus: int) -> int:
    """base^exponent mod modulus, as a Diffie-Hellman exchange; any public key of our own does."""
    parameters = dh.DHParameterNumbers(modulus, 2)
    own = dh.DHPrivateNumbers(exponent, dh.DHPublicNumbers(4, parameters)).private_key()
    other = dh.DHPublicNumbers(base, parameters).public_key()
    return int.from_bytes(own.exchange(other), "big")


def _exponent(randomness: random.Random) -> bytes:
    """Mostly of 256 bits, as the agent's; or short, with leading zeros, of a single bit."""
    size = randomness.choice((32, 32, 32, 32, 20, 40))
    value = randomness.randbytes(size)
    match randomness.randrange(8):
        case 0:
            value = bytes(randomness.randrange(size)) + value
        case 1:
            value = bytes(size - 4) + value[:4]
        case 2:
            value = (1 << randomness.randrange(16, 8 * size)).to_bytes(size, "big")
    return value


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("group", groups())
def test_random_operands(group: int, part: int) -> None:
    modulus = prime(group)
    size = len(modulus)
    randomness = random.Random(f"{group} {part}")
    largest = int.from_bytes(modulus, "big") - 1
    engines = []
    for chip in CHIPS:
        model = Model(chip)
        if group != 2:  # OpenSSL would test this prime anew each time
            model.power = _by_openssl
        engines.append((chip, Engine(chip, model)))
    able = [turn for turn in engines if turn[1].can("modexp", 8 * size)]
    # The ESP32's turn is rare: the model takes its loop a product at a time.
    turns = cycle([able[0]] + 8 * able[1:])
    reference = software.Engine()
    used: Counter[tuple[str, str]] = Counter()
    for _ in range(OPERANDS):
        base = randomness.randrange(2, largest).to_bytes(size, "big")
        if randomness.randrange(8) == 0:
            base = bytes(8) + base[8:]
        exponent = _exponent(randomness)
        chip, engine = next(turns)
        answer = engine.modexp(base, exponent, modulus)
        used[chip, engine.method] += 1
        assert reference.modexp(base, exponent, modulus) == answer
    assert {chip for chip, _ in used} == {chip for chip, _ in able}
    assert (("esp32", "montgomery") in used) == (group in (15, 16))
