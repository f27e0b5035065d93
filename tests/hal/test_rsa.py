"""RSA signatures with and without a DigestInfo, and their negatives, under both interpreters."""

from binascii import unhexlify

from hal import Hal, HalError, PublicKeyError, rsa, software
from rsa_numbers import KEY, SIZE, cube_root, power

HAL = Hal([software.Engine()])

PUBLIC = KEY[:2]
N = int.from_bytes(KEY[0], "big")

# pyca/cryptography's signature of "abc" with SHA-256: the scheme leaves nothing to chance.
WITH_DIGEST_INFO = unhexlify(
    b"67747964b6344346853f199f608f700478dfe50e770bc818d262daf122e55c8d1d98f04dddecd502"
    b"0d45675dc95493956834657b24724b3c8765b599e90554aa0c70c8f08d448ce01ad9b8191d755da6"
    b"7d1fcca9699b8aa222aa5bf087c10a9309f187a7594e82304162c47ab431023402f821a76fac4967"
    b"772a7ed9a8cff78c47d3ae5581a5dac90c38f8f4c5fec63916481870d20a1fcca9182be0b59c6433"
    b"993c794742769f65ba36715b1e4b03f88b2cb9577bbe3e283b1654d6f629008d0f093d9554694139"
    b"3ee47fff85f73178c1d3fb59c2a125f9cb54cdefc999314f6d0ccefa54735b113851228c43aa4606"
    b"ec78319e5c33b7bdf8106aa0c353411a"
)
DIGEST = HAL.hash("sha256", b"abc")
INFO = unhexlify(b"3031300d060960864801650304020105000420")


def encoded(*parts):
    text = b"".join(parts)
    assert len(text) == SIZE
    return int.from_bytes(text, "big")


def verify(signature, data=DIGEST, hash_name=None, public=PUBLIC):
    return HAL.rsa_verify(public, data, signature, hash_name)


def test_with_digest_info():
    assert HAL.rsa_sign(KEY, DIGEST, "sha256") == WITH_DIGEST_INFO
    assert verify(WITH_DIGEST_INFO, DIGEST, "sha256") is True
    # The one is not the other, and no other hash's.
    assert verify(WITH_DIGEST_INFO) is False
    for name in ("sha384", "sha512", "sha1"):
        digest = HAL.hash(name, b"abc")
        assert verify(WITH_DIGEST_INFO, digest, name) is False


def test_without_digest_info():
    signature = HAL.rsa_sign(KEY, DIGEST)
    expected = b"\0\1" + b"\xff" * (SIZE - 3 - 32) + b"\0" + DIGEST
    n, e = PUBLIC
    assert HAL.modexp(signature, e, n) == expected
    assert len(signature) == SIZE
    assert verify(signature) is True
    assert verify(signature, DIGEST, "sha256") is False
    assert verify(signature, HAL.hash("sha256", b"abd")) is False
    for at in (0, 31):
        other = bytearray(DIGEST)
        other[at] ^= 1
        assert verify(signature, other) is False
    assert verify(signature, DIGEST[:-1]) is False
    assert verify(signature, DIGEST + b"\0") is False


def test_blinding_does_not_show():
    assert HAL.rsa_sign(KEY, DIGEST[:20]) == HAL.rsa_sign(KEY, DIGEST[:20])


def test_encodings_that_are_not_the_one_are_refused():
    filling = b"\xff" * (SIZE - 3 - 32)
    good = encoded(b"\0\1", filling, b"\0", DIGEST)
    assert verify(power(good)) is True
    for bad in (
        encoded(b"\0\1", filling[:-1], b"\0", DIGEST, b"\0"),  # trailing garbage
        encoded(b"\0\1", filling[:8], b"\0", DIGEST, bytes(SIZE - 11 - 32)),
        encoded(b"\0\1", filling[:8], b"\0", bytes(SIZE - 11 - 32), DIGEST),
        encoded(b"\0\2", filling, b"\0", DIGEST),  # block type 2
        encoded(b"\0\0", filling, b"\0", DIGEST),
        encoded(b"\1\1", filling, b"\0", DIGEST),
        encoded(b"\0\1", filling, b"\1", DIGEST),
        encoded(b"\0\1", filling[:-1], b"\xfe\0", DIGEST),
        encoded(b"\0\1", b"\0", filling, DIGEST),
        encoded(b"\0\1", bytes(len(filling)), b"\0", DIGEST),
    ):
        assert verify(power(bad)) is False


def test_digest_infos_that_are_not_the_one_are_refused():
    def signed(info, tail=b""):
        rest = info + DIGEST + tail
        return power(encoded(b"\0\1", b"\xff" * (SIZE - 3 - len(rest)), b"\0", rest))

    assert verify(signed(INFO), DIGEST, "sha256") is True
    no_parameters = unhexlify(b"302f300b0609608648016503040201") + b"\4\x20"
    long_length = unhexlify(b"308131300d060960864801650304020105000420")
    garbage = unhexlify(b"3033300f0609608648016503040201050001010420")
    for bad in (no_parameters, long_length, garbage, INFO[:-1] + b"\x21"):
        assert verify(signed(bad), DIGEST, "sha256") is False
    assert verify(signed(INFO, b"\0"), DIGEST, "sha256") is False
    # The peer's HASH with a DigestInfo is not what RFC 2409 asks for.
    assert verify(signed(INFO)) is False


def test_numbers_out_of_range_are_refused():
    signature = HAL.rsa_sign(KEY, DIGEST)
    number = int.from_bytes(signature, "big")
    for bad in (0, N, N - 1, 1):
        assert verify(bad.to_bytes(SIZE, "big")) is False
    if number + N < 1 << 8 * SIZE:
        assert verify((number + N).to_bytes(SIZE, "big")) is False
    assert verify(b"\xff" * SIZE) is False


def test_signatures_of_another_length_are_refused():
    signature = HAL.rsa_sign(KEY, DIGEST)
    for bad in (b"", signature[1:], signature[:-1], b"\0" + signature, signature + b"\0"):
        assert verify(bad) is False


def test_a_forgery_for_e_of_3_is_refused():
    # Bleichenbacher, 2006: no private key is needed where what follows the digest is not looked
    # at. Any cube root of the right beginning will do.
    public = KEY[0], b"\3"
    rest = DIGEST + bytes(SIZE - 11 - 32)
    forged = cube_root(encoded(b"\0\1", b"\xff" * 8, b"\0", rest))
    opened = (forged**3).to_bytes(SIZE, "big")
    assert opened.startswith(b"\0\1" + b"\xff" * 8 + b"\0" + DIGEST)
    assert verify(forged.to_bytes(SIZE, "big"), public=public) is False


def test_other_keys_are_refused():
    signature = HAL.rsa_sign(KEY, DIGEST)
    n, e = PUBLIC
    other = bytearray(n)
    other[-2] ^= 1
    for public in ((bytes(other), e), (n, b"\3"), (n, b"\1\0\3")):
        assert verify(signature, public=public) is False


def test_bad_public_keys_have_their_reasons():
    n, e = PUBLIC
    assert HAL.rsa_check(PUBLIC) is None
    for public, why in (
        ((b"", e), "size"),
        ((n[:128], e), "size"),  # 1024 bits
        ((b"\0" + n, e), "size"),
        ((b"\x7f" + n[1:], e), "size"),
        ((n * 2 + n[:1], e), "size"),
        ((n[:-1] + b"\x10", e), "even"),
        ((n, b""), "exponent"),
        ((n, b"\0"), "exponent"),
        ((n, b"\1"), "exponent"),
        ((n, b"\2"), "exponent"),
        ((n, b"\1\0\0"), "exponent"),
        ((n, b"\0\3"), "exponent"),
        ((n, b"\1\0\0\0\1"), "exponent"),
    ):
        try:
            HAL.rsa_check(public)
        except PublicKeyError as error:
            assert error.code == why, public
        else:
            raise AssertionError(public)
        assert verify(WITH_DIGEST_INFO, DIGEST, "sha256", public) is False


def test_a_fault_is_not_sent():
    # A wrong half of the CRT would give a factor of n away (Boneh, DeMillo, Lipton, 1997).
    for at in (4, 5, 6):
        key = list(KEY)
        key[at] = key[at][:-1] + bytes([key[at][-1] ^ 2])
        try:
            HAL.rsa_sign(key, DIGEST)
        except HalError:
            pass
        else:
            raise AssertionError("signed")


def test_misuse():
    for call in (
        lambda: HAL.rsa_sign(KEY, bytes(SIZE - 10)),  # no room for eight bytes of padding
        lambda: HAL.rsa_sign(KEY, DIGEST, "sha384"),
        lambda: HAL.rsa_sign(KEY, DIGEST, "md2"),
        lambda: HAL.rsa_sign((KEY[0][:128],) + KEY[1:], DIGEST),
    ):
        try:
            call()
        except ValueError:
            pass
        else:
            raise AssertionError("signed")


def test_operations_are_counted_as_modexp():
    hal = Hal([software.Engine()])
    hal.rsa_sign(KEY, DIGEST)
    # The blinding factor, both halves, and the check.
    assert hal.counts["modexp"] == {"software": 4}
    assert rsa.check(PUBLIC) is None
