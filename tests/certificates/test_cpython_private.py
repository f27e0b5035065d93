"""Private keys: what the board reads is what pyca/cryptography wrote, and nothing else passes."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki import Refused, private

CURVES = {"ecp256": ec.SECP256R1(), "ecp384": ec.SECP384R1(), "ecp521": ec.SECP521R1()}


def encoded(key) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def why(der: bytes) -> str | None:
    try:
        private.read(der)
    except Refused as refused:
        return refused.code
    return None


@pytest.mark.parametrize("curve", CURVES)
def test_ec(curve: str) -> None:
    key = ec.generate_private_key(CURVES[curve])
    kind, value = private.read(encoded(key))
    assert kind == curve
    assert int.from_bytes(value, "big") == key.private_numbers().private_value
    assert len(value) == (key.key_size + 7) // 8


def test_rsa() -> None:
    key = rsa.generate_private_key(65537, 2048)
    kind, values = private.read(encoded(key))
    numbers = key.private_numbers()
    public = numbers.public_numbers
    assert kind == "rsa"
    assert [int.from_bytes(value, "big") for value in values] == [
        public.n, public.e, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp,
    ]  # fmt: skip
    assert all(value[0] for value in values)


def test_cut_off_at_every_byte_or_with_more_behind() -> None:
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
        der = encoded(key)
        for size in range(len(der)):
            assert why(der[:size]) == "malformed-der", size
        assert why(der + b"\0") == "malformed-der"


def test_other_kinds() -> None:
    assert why(encoded(ed25519.Ed25519PrivateKey.generate())) is not None
    assert why(encoded(ec.generate_private_key(ec.SECP224R1()))) == "unsupported-algorithm"


def test_every_changed_byte_is_refused_or_is_the_number() -> None:
    """Whatever is read has the curve's length: nothing shorter, nothing longer."""
    der = bytearray(encoded(ec.generate_private_key(ec.SECP256R1())))
    for at in range(len(der)):
        for change in (1, 0x80):
            der[at] ^= change
            try:
                kind, value = private.read(bytes(der))
            except Refused:
                pass
            else:
                assert kind == "ecp256" and len(value) == 32
            der[at] ^= change
