"""RSA signatures with and without a DigestInfo, and their negatives, under both interpreters."""

from binascii import unhexlify

from hal import Hal, HalError, PublicKeyError, rsa, software

HAL = Hal([software.Engine()])

# A key made for these tests: n, e, p, q, dp, dq, qinv.
KEY = (
    (
        b"ad3ebc131b027e910efe35716bd599ceda1ab047341c319d3ce1e432f5b446ea8da9419ab53beaca"
        b"4b164f794b00194f295ef355327340f17edad5987d0e715fe712558ebe4fa1c436d8fef08e060dfb"
        b"4b56296f89ed2835e0e9684773c9edb395ea4f9094a044263cc80bdf6a8be3d8417a85cb9c5e48f3"
        b"b146cf27d7d21a8102eea7e28ab6358cff85c2b55c245733babb381f64ffc408b52fd41d9a54183e"
        b"00ef1484d418847e84b1298d7da70e69d9296b0c4cd0a94b86809a6f1b69aa318690aecfab4bc5de"
        b"cd1accef0c5f68cf3157c48023863a5f2135e021f2aabccc9f486e9319ecfe3379bfe81bc91a3b4b"
        b"6b5c945cd1a027e772936daa5e245403"
    ),
    b"010001",
    (
        b"dae0a4b79aa53a8944f4b6bf2db733d6b954537ed5d6818e983bf73f61909a85587c0b13336818a7"
        b"85cbbeb1cfc5e6f990bc42da54c4331cb9bac50060b3ed134c5513ccb2552d550c75dffd47a2fd07"
        b"25893ebac56093bbd6522f6d2f6f033786251acc8b2905444c53fb8509fe699d74809430c0a45ef7"
        b"6d8c5f1ee23c27eb"
    ),
    (
        b"caa0cb291ba5d971f17f55c2d65b987f5652606a06ee9b095c06fc5c4a49012899dbfdef3b053a33"
        b"ed2a9191e121f8095394bb47be04ada1b03dbe270d065765a03b577d1bbf24c8b844213cb886e931"
        b"d5d033f6d9905f482422523d1ce7fed1aaa109da3101dc06c599165e98a45faeafdecb6e72329805"
        b"d6525432bfbc5649"
    ),
    (
        b"52d0dee22d9c48fab9619267e1c748d0fd0ca00f04a006234b0c9d6f98dddae98b625bda6700031c"
        b"17aed0b77cb317c2e3f5a7a1eea2d1e8138a4c91e9050b35db12f1cbe8c9fbbe0b59ea676e1c887a"
        b"94c44a3ce703b4c244c491f7511442f6564661ce74f50f6e192749aabbee4c4dec4fde4258119971"
        b"2b3d0a9ca7e33503"
    ),
    (
        b"8b04643e10d4e9696e39617a6a1caf7475a1d0ba0d857862a47bba7a0b11293554d204d733d3f349"
        b"9ae680b6e811a91da4f53ec40acf24dcf0907bbc490857bfc67dd0196a86ea52b7712ea87d253a2a"
        b"51ba255caf898885731d04f51eb6e031b2f20753661a137da5e5d0de17b5765be01767d49f8eac94"
        b"1ca5a154ac0d27d9"
    ),
    (
        b"537044eb4617dd6c20ddaaba71f4e86144b63837d1cd6c03c6cd7d2ce09d077fe64698400365c4ae"
        b"9b7bf710ca30aacac221e862a3a526060d9b00bc30cce386dfc579fed9d15b65ff6f3e697dff225d"
        b"9f265620b8b9fec217f7f1669082b88bdb4f8f1793f45a65c4a79e8127e617e2782218f0078fe046"
        b"bbc3fb79ddf2f64f"
    ),
)
KEY = tuple([unhexlify(x) for x in KEY])
PUBLIC = KEY[:2]
N = int.from_bytes(KEY[0], "big")
SIZE = 256

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


def power(encoded, key=KEY):
    """What the private key makes of any encoded message: a signature, or a forgery to be tried."""
    n, _, p, q, dp, dq, qinv = key
    p, q, qinv = [int.from_bytes(x, "big") for x in (p, q, qinv)]
    sp = int.from_bytes(HAL.modexp((encoded % p).to_bytes(len(key[2]), "big"), dp, key[2]), "big")
    sq = int.from_bytes(HAL.modexp((encoded % q).to_bytes(len(key[3]), "big"), dq, key[3]), "big")
    return (sq + (sp - sq) * qinv % p * q).to_bytes(len(n), "big")


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


def cube_root(x):
    low, high = 0, 1 << 8 * SIZE // 3 + 1
    while low < high:
        middle = (low + high) // 2
        if middle**3 < x:
            low = middle + 1
        else:
            high = middle
    return low


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
