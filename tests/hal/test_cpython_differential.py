"""The software engine against hashlib and pyca/cryptography, on random data.

Twice: here, and under MicroPython on vectors that CPython makes (`answer_vectors.py`).
"""

import hashlib
import hmac
import json
import random
import subprocess
from binascii import hexlify
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from hypothesis import given, settings
from hypothesis import strategies as st

from hal import Hal, software
from ikelet_hil.capabilities import require

HERE = Path(__file__).parent
HASHES = ("md5", "sha1", "sha256", "sha384", "sha512")
ENGINE = software.Engine()
HAL = Hal([ENGINE])


def reference_cbc(algorithm, iv, data, encrypt):
    cipher = Cipher(algorithm, modes.CBC(iv))
    context = cipher.encryptor() if encrypt else cipher.decryptor()
    return context.update(data) + context.finalize()


def reference_hash(name, *parts):
    return hashlib.new(name, b"".join(parts)).digest()


@given(st.sampled_from(HASHES), st.lists(st.binary(max_size=300), max_size=4))
@settings(max_examples=400, deadline=None)
def test_hash(name, parts):
    assert ENGINE.hash(name, *parts) == reference_hash(name, *parts)


@pytest.mark.parametrize("name", HASHES)
def test_hash_of_every_length_around_the_padding(name):
    for n in range(260):
        message = bytes(range(n % 256)) + bytes(n // 256)
        assert ENGINE.hash(name, message) == reference_hash(name, message)


@given(st.sampled_from(HASHES), st.binary(max_size=200), st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_hmac(name, key, text):
    assert HAL.hmac(name, key, text) == hmac.digest(key, text, name)


@given(st.sampled_from((16, 24, 32)), st.integers(0, 12), st.booleans(), st.randoms())
@settings(max_examples=300, deadline=None)
def test_aes_cbc(key_size, blocks, encrypt, rng):
    key, iv, data = rng.randbytes(key_size), rng.randbytes(16), rng.randbytes(16 * blocks)
    expected = reference_cbc(AES(key), iv, data, encrypt)
    assert ENGINE.aes_cbc(key, iv, data, encrypt) == expected


@given(st.integers(0, 12), st.booleans(), st.randoms())
@settings(max_examples=200, deadline=None)
def test_des3_cbc(blocks, encrypt, rng):
    key, iv, data = rng.randbytes(24), rng.randbytes(8), rng.randbytes(8 * blocks)
    expected = reference_cbc(TripleDES(key), iv, data, encrypt)
    assert ENGINE.des3_cbc(key, iv, data, encrypt) == expected


@given(st.integers(1, 200), st.integers(1, 12), st.randoms())
@settings(max_examples=400, deadline=None)
def test_modexp(size, exponent_size, rng):
    modulus = (rng.getrandbits(size * 8) | 1 << size * 8 - 1 | 1).to_bytes(size, "big")
    # Now and then an operand of few bits, or of nearly all.
    base = (rng.getrandbits(size * 8) >> rng.choice((0, 0, 1, size * 7))).to_bytes(size, "big")
    exponent = rng.randbytes(exponent_size)
    expected = pow(*(int.from_bytes(x, "big") for x in (base, exponent, modulus)))
    assert ENGINE.modexp(base, exponent, modulus) == expected.to_bytes(size, "big")


def _vectors(rng):
    """[operation, arguments, answer], bytes in hex."""

    def binary(n):
        return hexlify(rng.randbytes(n)).decode()

    def case(op, answer, *arguments):
        shown = [hexlify(a).decode() if isinstance(a, bytes) else a for a in arguments]
        return [op, shown, hexlify(answer).decode()]

    for name in HASHES:
        for _ in range(12):
            parts = [rng.randbytes(rng.randrange(150)) for _ in range(rng.randrange(4))]
            yield case("hash", reference_hash(name, *parts), name, *parts)
            key, text = rng.randbytes(rng.randrange(150)), rng.randbytes(rng.randrange(150))
            yield case("hmac", hmac.digest(key, text, name), name, key, text)
    for encrypt in (True, False):
        for key_size in (16, 24, 32):
            for blocks in (1, 2, 7, 30):
                key, iv, data = (rng.randbytes(n) for n in (key_size, 16, 16 * blocks))
                answer = reference_cbc(AES(key), iv, data, encrypt)
                yield case("aes_cbc", answer, key, iv, data, encrypt)
        for blocks in (1, 2, 7, 30):
            key, iv, data = (rng.randbytes(n) for n in (24, 8, 8 * blocks))
            answer = reference_cbc(TripleDES(key), iv, data, encrypt)
            yield case("des3_cbc", answer, key, iv, data, encrypt)
    for bits, count in ((1024, 20), (1536, 10), (2048, 10), (3072, 5), (4096, 3), (8192, 1)):
        for _ in range(count):
            modulus = rng.getrandbits(bits) | 1 << bits - 1 | 1
            base = rng.randrange(modulus)
            exponent = rng.randbytes(rng.choice((1, 20, 32)))
            answer = pow(base, int.from_bytes(exponent, "big"), modulus)
            base, answer, modulus = (x.to_bytes(bits // 8, "big") for x in (base, answer, modulus))
            yield case("modexp", answer, base, exponent, modulus)


@pytest.mark.parametrize("engines", ["software", "mbed,software"])
def test_under_micropython(tmp_path, engines):
    require("micropython")
    from ikelet import unixboard

    vectors = list(_vectors(random.Random(20260)))
    # One a line: a board's heap does not hold them all.
    file = tmp_path / "vectors.json"
    file.write_text("".join(json.dumps(vector) + "\n" for vector in vectors))
    command = [unixboard.interpreter(), "-X", "heapsize=256k", HERE / "answer_vectors.py"]
    command += [HERE.parent.parent / "firmware", file, engines]
    run = subprocess.run([str(x) for x in command], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout) == {"agreed": len(vectors), "failures": {}}
