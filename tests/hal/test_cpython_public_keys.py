"""Curves and RSA against pyca/cryptography and Project Wycheproof.

Wycheproof's vectors are run under both interpreters: those that are not plainly valid, and some of
the valid ones; all of them with IKELET_ALL_VECTORS=1 (some minutes).
"""

import gzip
import json
import os
import random
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils, x25519

import wycheproof_answers
from hal import EngineError, Hal, HalError, PublicKeyError, software
from ikelet_hil.capabilities import require

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors" / "wycheproof" / "vectors.jsonl.gz"
HAL = Hal([software.Engine()])
CURVES = {
    "ecp256": (ec.SECP256R1(), hashes.SHA256()),
    "ecp384": (ec.SECP384R1(), hashes.SHA384()),
    "ecp521": (ec.SECP521R1(), hashes.SHA512()),
}
RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


def size(curve):
    return (CURVES[curve][0].key_size + 7) // 8


def x_and_y(key):
    encoding = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return key.public_bytes(*encoding)[1:]


def private_bytes(key, curve):
    return key.private_numbers().private_value.to_bytes(size(curve), "big")


@pytest.mark.parametrize(("curve", "pairs"), [("ecp256", 50), ("ecp384", 20), ("ecp521", 12)])
def test_ecdh(curve, pairs):
    named, _ = CURVES[curve]
    for _ in range(pairs):
        theirs = ec.generate_private_key(named)
        private, public = HAL.ec_pair(curve)
        point = ec.EllipticCurvePublicKey.from_encoded_point(named, b"\4" + public)
        secret = HAL.ecdh(curve, private, x_and_y(theirs.public_key()))
        assert secret == theirs.exchange(ec.ECDH(), point), (private.hex(), curve)


def test_x25519():
    for _ in range(200):
        theirs = x25519.X25519PrivateKey.generate()
        private, public = HAL.ec_pair("curve25519")
        secret = HAL.ecdh("curve25519", private, theirs.public_key().public_bytes(*RAW))
        assert secret == theirs.exchange(x25519.X25519PublicKey.from_public_bytes(public))


def test_x25519_a_thousand_times():
    # RFC 7748 section 5.2.
    k = u = b"\x09" + bytes(31)
    for _ in range(1000):
        k, u = HAL.ecdh("curve25519", k, u), k
    assert k.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


@pytest.mark.parametrize("curve", CURVES)
def test_special_private_keys(curve):
    named, _ = CURVES[curve]
    bits = named.key_size
    numbers = {1, 2, 3, 15, 16, 17, (1 << bits - 2) - 1, 1 << bits - 2}
    numbers |= {int("55" * size(curve), 16) >> 8, int("f0" * (size(curve) - 1), 16)}
    for number in numbers:
        key = ec.derive_private_key(number, named)
        expected = x_and_y(key.public_key())
        assert HAL.ec_public(curve, number.to_bytes(size(curve), "big")) == expected


@pytest.mark.parametrize("curve", CURVES)
def test_points_are_taken_and_refused_alike(curve):
    named, _ = CURVES[curve]
    rng = random.Random(curve)
    outcomes = Counter()
    for _ in range(400):
        public = bytearray(x_and_y(ec.generate_private_key(named).public_key()))
        if rng.random() < 0.8:
            public[rng.randrange(len(public))] ^= 1 << rng.randrange(8)
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(named, b"\4" + bytes(public))
            theirs = True
        except ValueError:
            theirs = False
        try:
            HAL.ec_check(curve, public)
            ours = True
        except PublicKeyError:
            ours = False
        assert ours == theirs, public.hex()
        outcomes[ours] += 1
    assert min(outcomes.values()) > 20


@pytest.mark.parametrize(("curve", "count"), [("ecp256", 24), ("ecp384", 9), ("ecp521", 6)])
def test_ecdsa(curve, count):
    named, algorithm = CURVES[curve]
    n = size(curve)
    for i in range(count):
        key = ec.generate_private_key(named)
        public = x_and_y(key.public_key())
        digest = os.urandom((algorithm.digest_size, 20, 32)[i % 3])
        hashed = {20: hashes.SHA1(), 32: hashes.SHA256()}.get(len(digest), algorithm)
        prehashed = ec.ECDSA(utils.Prehashed(hashed))
        ours = HAL.ecdsa_sign(curve, private_bytes(key, curve), digest)
        r, s = (int.from_bytes(part, "big") for part in (ours[:n], ours[n:]))
        key.public_key().verify(utils.encode_dss_signature(r, s), digest, prehashed)
        theirs = key.sign(digest, prehashed)
        r, s = utils.decode_dss_signature(theirs)
        theirs = r.to_bytes(n, "big") + s.to_bytes(n, "big")
        assert HAL.ecdsa_verify(curve, public, digest, theirs)
        spoilt = bytearray(theirs)
        spoilt[i % len(spoilt)] ^= 1 << i % 8
        assert not HAL.ecdsa_verify(curve, public, digest, spoilt)


@pytest.mark.parametrize("curve", CURVES)
def test_der_as_pyca_writes_it(curve):
    from hal import ecdsa

    rng = random.Random(curve)
    n = size(curve)
    for _ in range(400):
        # Few bits now and then, so that every length occurs.
        r, s = (rng.getrandbits(CURVES[curve][0].key_size) >> rng.randrange(8 * n) for _ in "rs")
        der = utils.encode_dss_signature(r, s)
        fixed = r.to_bytes(n, "big") + s.to_bytes(n, "big")
        assert ecdsa.to_der(curve, fixed) == der
        assert ecdsa.from_der(curve, der) == fixed
        spoilt = bytearray(der)
        spoilt[rng.randrange(len(der))] ^= 1 << rng.randrange(8)
        try:
            read = ecdsa.from_der(curve, spoilt)
        except ValueError:
            continue
        # Never anything that pyca reads otherwise.
        assert utils.decode_dss_signature(bytes(spoilt)) == (
            int.from_bytes(read[:n], "big"),
            int.from_bytes(read[n:], "big"),
        )


@cache
def rsa_key(bits, exponent=65537):
    return rsa.generate_private_key(exponent, bits)


def numbers(*values):
    return tuple(value.to_bytes((value.bit_length() + 7) // 8, "big") for value in values)


@pytest.mark.parametrize(
    ("bits", "exponent"), [(2048, 65537), (2048, 3), (2560, 65537), (3072, 65537), (4096, 65537)]
)
def test_rsa(bits, exponent):
    key = rsa_key(bits, exponent)
    k = key.private_numbers()
    public = numbers(k.public_numbers.n, exponent)
    private = public + numbers(k.p, k.q, k.dmp1, k.dmq1, k.iqmp)
    for name, algorithm in (("sha256", hashes.SHA256()), ("sha512", hashes.SHA512())):
        digest = os.urandom(algorithm.digest_size)
        theirs = key.sign(digest, padding.PKCS1v15(), utils.Prehashed(algorithm))
        assert HAL.rsa_sign(private, digest, name) == theirs
        assert HAL.rsa_verify(public, digest, theirs, name)
        assert not HAL.rsa_verify(public, digest, theirs)
        # Without a DigestInfo.
        theirs = key.sign(digest, padding.PKCS1v15(), utils.NoDigestInfo())
        ours = HAL.rsa_sign(private, digest)
        assert ours == theirs
        assert HAL.rsa_verify(public, digest, theirs)
        assert not HAL.rsa_verify(public, digest, theirs, name)
        spoilt = bytearray(theirs)
        spoilt[-1] ^= 1
        assert not HAL.rsa_verify(public, digest, spoilt)
        with pytest.raises(InvalidSignature):
            key.public_key().verify(bytes(spoilt), digest, padding.PKCS1v15(), algorithm)


def test_an_engine_that_cannot_leaves_it_to_the_next():
    # As the MPI engine does with a modulus that its chip is too small for.
    class Small(software.Engine):
        name = "small"

        def can(self, op, what):
            return op == "modexp" and what <= 1024

        def modexp(self, base, exponent, modulus):
            if max(base) == 0:
                raise EngineError("unsupported")
            return super().modexp(base, exponent, modulus)

    hal = Hal([Small(), software.Engine()])
    k = rsa_key(2048).private_numbers()
    public = numbers(k.public_numbers.n, 65537)
    private = public + numbers(k.p, k.q, k.dmp1, k.dmq1, k.iqmp)
    assert hal.rsa_verify(public, b"hash", hal.rsa_sign(private, b"hash"))
    assert hal.counts["modexp"] == {"small": 2, "software": 3}


def vectors(one_in):
    """All vectors that are not valid, and of the others one in so many."""
    with gzip.open(VECTORS, "rt") as lines:
        valid = 0
        for line in lines:
            if json.loads(line)[3] == "valid":
                valid += 1
                if valid % one_in and "IKELET_ALL_VECTORS" not in os.environ:
                    continue
            yield line


@pytest.mark.timeout(600)
def test_wycheproof():
    wrong = []
    seen = Counter()
    for line in vectors(32):
        row = json.loads(line)
        # The large curves take long on big integers; MicroPython has all of theirs below.
        if (
            row[1] in ("ecp384", "ecp521")
            and row[2] % 4
            and "IKELET_ALL_VECTORS" not in os.environ
        ):
            continue
        seen[row[0], row[3]] += 1
        expected = wycheproof_answers.expected(row[3], row[5])
        if wycheproof_answers.taken(HAL, PublicKeyError, row) != expected:
            wrong.append(row[:6])
    assert not wrong
    assert seen["ecdh", "invalid"] > 30 and seen["ecdh", "acceptable"] > 250
    assert seen["ecdsa", "invalid"] > 120 and seen["rsa", "invalid"] > 700
    assert all(seen[kind, "valid"] for kind in ("ecdh", "ecdsa"))


def test_wycheproof_sees_that_points_are_not_checked():
    class Trusting(Hal):
        def ecdh(self, curve, private, public):
            found = self._run("ec", curve, curve, private, public, b"") or b""
            return found[: len(private)]

    trusting = Trusting([software.Engine()])
    rows = [row for row in map(json.loads, vectors(1000)) if "InvalidCurveAttack" in row[5]]
    for row in rows[:10]:
        try:
            assert wycheproof_answers.taken(trusting, PublicKeyError, row)
        except (ValueError, HalError):  # another secret, or one off the curve
            pass


@pytest.mark.timeout(600)
def test_wycheproof_under_micropython(tmp_path):
    require("micropython")
    from ikelet import unixboard

    lines = list(vectors(8))
    file = tmp_path / "vectors.jsonl"
    file.write_text("".join(lines))
    command = [
        unixboard.interpreter(),
        "-X",
        "heapsize=256k",
        HERE.parent / "wycheproof_answers.py",
    ]
    command += [HERE.parent.parent / "firmware", file]
    run = subprocess.run([str(x) for x in command], capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stdout + run.stderr
    answer = json.loads(run.stdout)
    assert sum(answer["right"].values()) == len(lines)
    assert answer["failures"] == {}
