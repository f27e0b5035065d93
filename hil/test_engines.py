"""The engines of a board with accelerators, run at its prompt and compared with the host.

Both sides make the same operands from the same seed; of the board's answers only a digest for
every lot of them travels, so that a thousand do not take long.
"""

import ast
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from hal import chips
from ike import groups, registry
from ikelet import boards, build
from ikelet.boards import Board
from ikelet.emulators.rawrepl import RawRepl
from ikelet_hil.capabilities import require

# Runs on both sides: operands from a seed, answers into a digest.
SHARED = """
import hashlib
def operands(seed, index, size):
    out, count = b"", 0
    while len(out) < size:
        block = hashlib.sha256(seed + index.to_bytes(4, "big") + bytes([count])).digest()
        out, count = out + block, count + 1
    return out[:size]
def lots(seed, first, count, lot, answer):
    found = []
    for start in range(first, first + count, lot):
        digest = hashlib.sha256()
        for index in range(start, min(start + lot, first + count)):
            digest.update(answer(seed, index))
        found.append(digest.digest()[:8])
    return found
"""

MODEXP = """
import gc
from ike import groups
modulus = groups.prime({group!r})
def modexp(seed, index):
    data = operands(seed, index, len(modulus) + 32)
    return engine.modexp(bytes([data[0] & 127]) + data[1:len(modulus)], data[-32:], modulus)
"""
AES_CBC = """
def aes_cbc(seed, index):
    data = operands(seed, index, 48 + 16 * (index % 9 + 1))
    key, iv, text = data[:{bits} // 8], data[32:48], data[48:]
    return bytes(engine.aes_cbc(key, iv, text, index & 1))
"""
HASH = """
def hash(seed, index):
    data = operands(seed, index, index % 300)
    return engine.hash({name!r}, data[:index % 7], data[index % 7:])
"""

SEED = b"ikelet"
DEADLINE = 1200.0  # seconds, for the slowest lot on a busy host
GROUPS = ("modp2048", "modp3072", "modp4096")
shared: dict[str, Any] = {}
exec(SHARED, shared)


@pytest.fixture(scope="module")
def prompt(board: Board) -> Iterator[RawRepl]:
    """The board's prompt, the firmware beside it."""
    lacks = "" if "mpi" in board.engines else f"{board.name} has none"
    require("accelerator", lacks)
    at_prompt = getattr(boards.runner(board), "at_prompt", None)
    require("prompt", "" if at_prompt else f"{board.name} runs the agent and nothing else")
    assert at_prompt is not None
    with at_prompt(board, build.files(board)) as running, running.repl() as repl:
        repl.run("import sys\nsys.path.append('/')\n" + SHARED)
        yield repl


def compare(
    prompt: RawRepl, engine: str, code: str, name: str, count: int, expected: Callable[..., bytes]
) -> None:
    """The engine's answers to `count` operands against those of `expected(data, index)`."""
    prompt.run(f"import gc\ngc.collect()\n{engine}\n{code}")
    lot = 50
    wanted = shared["lots"](SEED, 0, count, lot, lambda _seed, index: expected(index))
    for number, start in enumerate(range(0, count, lot)):
        done = min(lot, count - start)
        found = prompt.run(f"print(lots({SEED!r}, {start}, {done}, {lot}, {name}))", DEADLINE)
        assert ast.literal_eval(found) == wanted[number : number + 1], (
            f"operands {start} to {start + done}"
        )


MPI = "from hal import mpi\nengine = mpi.Engine({chip!r})"
MBED = "from hal import mbed\nengine = mbed.Engine()"
SOFTWARE = "from hal import software\nengine = software.Engine()"


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("engine", "count"), [("mpi", 1000), ("software", 2)])
@pytest.mark.parametrize("group", GROUPS)
def test_modexp(board: Board, prompt: RawRepl, group: str, engine: str, count: int) -> None:
    chip = chips.find(board.chip)
    assert chip is not None
    bits = registry.GROUPS[group][1]
    if engine == "mpi":
        fits = bits <= chip.max_bits
        require("mpi", "" if fits else f"{board.chip} computes {chip.max_bits} bits at most")
    modulus = groups.prime(group)
    size = len(modulus)

    def expected(index: int) -> bytes:
        data = shared["operands"](SEED, index, size + 32)
        base = int.from_bytes(bytes([data[0] & 127]) + data[1:size], "big")
        number = pow(base, int.from_bytes(data[-32:], "big"), int.from_bytes(modulus, "big"))
        return number.to_bytes(size, "big")

    made = MPI.format(chip=board.chip) if engine == "mpi" else SOFTWARE
    compare(prompt, made, MODEXP.format(group=group), "modexp", count, expected)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("bits", [128, 256])
def test_aes_cbc(prompt: RawRepl, bits: int) -> None:
    def expected(index: int) -> bytes:
        data = shared["operands"](SEED, index, 48 + 16 * (index % 9 + 1))
        cipher = Cipher(AES(data[: bits // 8]), CBC(data[32:48]))
        run = cipher.encryptor() if index & 1 else cipher.decryptor()
        return run.update(data[48:]) + run.finalize()

    compare(prompt, MBED, AES_CBC.format(bits=bits), "aes_cbc", 1000, expected)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", ["md5", "sha1", "sha256"])
def test_hash(prompt: RawRepl, name: str) -> None:
    def expected(index: int) -> bytes:
        return hashlib.new(name, shared["operands"](SEED, index, index % 300)).digest()

    compare(prompt, MBED, HASH.format(name=name), "hash", 1000, expected)
