"""The curves' machine code takes the same number of instructions whatever the numbers are."""

import json

import pytest

from ikelet import boards, build
from ikelet.emulators.rv32 import INSTRUCTIONS_PER_TICK, Rv32Board
from ikelet_hil.capabilities import require

BOARD = boards.find("qemu-rv32")
CALLS = 200

# Prints, for each prime, ticks of the clock: of `calls` runs of each program, for several pairs of
# numbers; of as many picks of each entry of the table, and exchanges by 0 and by 1.
PROGRAM = """
import gc, json, os, virt
from hal import curves, field, machine

def run(m, program):
    gc.collect()
    since = virt.ticks()
    for _ in range(calls):
        m.run(program)
    return virt.ticks() - since & 0x3fffffff

def pick(m, entry):
    gc.collect()
    since = virt.ticks()
    for _ in range(calls):
        m.pick(entry, 3)
    return virt.ticks() - since & 0x3fffffff

def swap(m, bit):
    gc.collect()
    since = virt.ticks()
    for _ in range(calls):
        m.swap(bit)
    return virt.ticks() - since & 0x3fffffff

assert machine.kind() is field.Machine
found = {"run": [], "pick": [], "swap": []}
primes = [curves.weierstrass(c)[1] for c in ("ecp256", "ecp384", "ecp521")]
for prime in primes + [curves.CURVE25519]:
    texts = [machine._assembled(t, "abcdef") for t in ("c=a*b", "c=a+b", "c=a-b", "c=a3b")]
    m = field.Machine(prime, 6, 16, 3, texts)
    p = m.p
    numbers = [0, 1, p - 1, p >> 1, 8192, int.from_bytes(os.urandom(80), "big") % p]
    for program in range(4):
        row = []
        for a in numbers:
            for b in (0, p - 1, numbers[-1]):
                m.put(0, a)
                m.put(1, b)
                row.append(run(m, program))
        found["run"].append(row[1:])  # the first allocates
    found["pick"].append([pick(m, entry) for entry in range(16)][1:])
    found["swap"].append([swap(m, bit) for bit in (0, 0, 1, 1, 0, 1, 0)][1:])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def counted():
    require("qemu-rv32")
    with Rv32Board(BOARD, count_instructions=True) as board:
        board.power_on(timeout=60)
        board.load(build.files(BOARD))
        with board.repl(30) as repl:
            return json.loads(repl.run(f"calls = {CALLS}\n{PROGRAM}", 100))


@pytest.mark.xdist_group("constant-time")
@pytest.mark.parametrize("what", ["run", "pick", "swap"])
def test_instructions(counted, what):
    for row in counted[what]:
        assert min(row) > 100
        # The clock ticks every 100 instructions; two more a call would be seen.
        assert (max(row) - min(row)) * INSTRUCTIONS_PER_TICK <= CALLS, row
