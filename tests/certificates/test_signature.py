"""The signatures of real certificates, verified and made by the HAL."""

# micropython: heapsize=1m deadline=400

import hal
from certificates.cases import Cases, refused
from pki import path
from pki.certificate import Certificate
from pki.signature import signer, verifier

CASES = Cases()
HAL = hal.select({"engines": ["software"], "entropy": b"for tests only, 32 bytes long..."})


def validated(name, verify=None):
    return path.validate(
        CASES.chain(name), CASES.anchors(name), CASES[name]["now"], verify or verifier(HAL)
    )


def test_ecdsa():
    assert len(validated("one step")) == 2


def test_ecdsa_of_the_other_curves():
    for curve in ("secp384r1", "secp521r1"):
        assert len(validated("ECDSA " + curve)) == 2


def test_rsa():
    assert len(validated("RSA")) == 2


def test_wrong_signatures():
    for name in ("wrong key", "signature changed", "subject changed"):
        assert refused(validated, name) == "bad-signature", name


def test_no_signature_that_is_none():
    for name in ("one step", "RSA"):
        leaf = Certificate(CASES.chain(name)[0])
        anchor = CASES.anchors(name)[0]
        verify = verifier(HAL)
        size = len(leaf.signature)
        assert verify(anchor.key, leaf.hash, leaf.tbs, leaf.signature) is True
        for signature in (
            b"",
            bytes(size),
            bytes(leaf.signature) + b"\0",
            leaf.signature[: size - 1],
            b"\0" + bytes(leaf.signature),
            b"\xff" * size,
            b"\x30\x06\x02\x01\x00\x02\x01\x00",
            b"\x30\x06\x02\x01\x01\x02\x01\x01",
        ):
            assert verify(anchor.key, leaf.hash, leaf.tbs, signature) is False, (name, signature)
        assert verify(anchor.key, "sha512", leaf.tbs, leaf.signature) is False


def test_a_point_off_the_curve():
    leaf = Certificate(CASES.chain("one step")[0])
    key = CASES.anchors("one step")[0].key
    changed = bytearray(key.public)
    changed[-1] ^= 1
    key.public = changed
    assert verifier(HAL)(key, leaf.hash, leaf.tbs, leaf.signature) is False


def test_made_and_verified():
    class Key:
        kind = "ec"

    for curve, name in (("ecp256", "sha256"), ("ecp384", "sha384")):
        private, public = HAL.ec_pair(curve)
        Key.curve, Key.public = curve, public
        found, signature = signer(HAL, curve, private)(b"message")
        assert found == name
        assert verifier(HAL)(Key, name, b"message", signature) is True
        assert verifier(HAL)(Key, name, b"massage", signature) is False
