"""Curves against the RFCs' known answers and their negatives, under both interpreters."""

from binascii import unhexlify

import hal as package
import modules
from hal import Hal, PublicKeyError, curves, software

HAL = Hal([software.Engine()])

# RFC 5903 section 8. curve: (i, g^i, r, g^r, the x of g^ir)
RFC_5903 = {
    "ecp256": (
        b"c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
        (
            b"dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252"
            b"d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3"
        ),
        b"c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
        (
            b"d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e"
            b"8157854c13c58d6aac23f046ada30f8353e74f33039872ab"
        ),
        b"d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    ),
    "ecp384": (
        (
            b"099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee"
            b"3faef896783ab194"
        ),
        (
            b"667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4"
            b"c88732aee95f41aa9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38e"
            b"eb9fcff3c2c947dae69b4c634573a81c"
        ),
        (
            b"41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2"
            b"960e4bd55a7448fc"
        ),
        (
            b"e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def9"
            b"6fda41d0774a3571dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1ff"
            b"f83fa40142209dff5eaad96db9e6386c"
        ),
        (
            b"11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d0"
            b"9cf5d4a270f59746"
        ),
    ),
    "ecp521": (
        (
            b"0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c295"
            b"2c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52"
        ),
        (
            b"0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e38"
            b"0aeae57c2d107564941885942af5a7f4601723c4195d176ced3e017cae20b6641d2eeb695786d8c9"
            b"46146239d099e18e1d5a514c739d7cb4a10ad8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f15"
            b"07438bf01beb6ca3926f9582"
        ),
        (
            b"0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757"
            b"a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb151685eb9"
        ),
        (
            b"00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e"
            b"95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9460f015c68226383956e3bd066e797b6"
            b"23c27ce0eac2f551a10c2c724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f47"
            b"32296579ab44fcd17f0fc56a"
        ),
        (
            b"01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa24"
            b"0a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea"
        ),
    ),
}

# RFC 7748 section 5.2: (scalar, u, result)
RFC_7748 = (
    (
        b"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        b"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        b"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        b"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        b"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        b"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
)

# Points of order 1, 2, 4 and 8, on the curve and its twist, and such as are p or more.
SMALL_ORDER = (
    b"0000000000000000000000000000000000000000000000000000000000000000",
    b"0100000000000000000000000000000000000000000000000000000000000000",
    b"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    b"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    b"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    b"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    b"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    b"0000000000000000000000000000000000000000000000000000000000000080",
)


def refused(curve, public):
    """Why a peer's value is refused, by ecdh as by ec_check; None if it is not."""
    private = b"\1" * (66 if curve == "ecp521" else 48 if curve == "ecp384" else 32)
    try:
        HAL.ecdh(curve, private, public)
    except PublicKeyError as error:
        return error.code
    return None


def misused(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def test_rfc_5903():
    for curve, vectors in RFC_5903.items():
        i, gi, r, gr, secret = [unhexlify(x) for x in vectors]
        assert HAL.ec_public(curve, i) == gi
        assert HAL.ec_public(curve, r) == gr
        assert HAL.ecdh(curve, i, gr) == secret
        assert HAL.ecdh(curve, r, gi) == secret


def test_rfc_7748():
    for vectors in RFC_7748:
        scalar, u, result = [unhexlify(x) for x in vectors]
        assert HAL.ecdh("curve25519", scalar, u) == result


def test_rfc_7748_diffie_hellman():
    # Section 6.1.
    a, public_a, b, public_b, shared = [
        unhexlify(x)
        for x in (
            b"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            b"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            b"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            b"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            b"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
        )
    ]
    assert HAL.ec_public("curve25519", a) == public_a
    assert HAL.ec_public("curve25519", b) == public_b
    assert HAL.ecdh("curve25519", a, public_b) == shared
    assert HAL.ecdh("curve25519", b, public_a) == shared


def test_a_scalar_is_clamped():
    scalar = bytearray(unhexlify(RFC_7748[0][0]))
    expected = HAL.ecdh("curve25519", scalar, unhexlify(RFC_7748[0][1]))
    scalar[0] ^= 7
    scalar[31] ^= 0xC0
    kept = bytes(scalar)
    assert HAL.ecdh("curve25519", scalar, unhexlify(RFC_7748[0][1])) == expected
    assert scalar == kept


def test_the_top_bit_of_u_is_ignored():
    u = bytearray(unhexlify(RFC_7748[0][1]))
    scalar = unhexlify(RFC_7748[0][0])
    expected = HAL.ecdh("curve25519", scalar, u)
    u[31] ^= 0x80
    assert HAL.ecdh("curve25519", scalar, u) == expected


def test_points_of_small_order_are_refused():
    for u in SMALL_ORDER:
        assert refused("curve25519", unhexlify(u)) == "zero-secret"


def test_points_of_small_order_are_known_before_anything_is_made_of_them():
    private = bytes(range(32))
    for u in SMALL_ORDER:
        for top in (0, 0x80):
            public = bytearray(unhexlify(u))
            public[31] |= top
            try:
                HAL.ec_check("curve25519", public)
                raise AssertionError(u)
            except PublicKeyError as error:
                assert error.code == "zero-secret"
            # It is no mistake to refuse them: this is what they give.
            assert not any(HAL._run("ec", "curve25519", "curve25519", private, public, bytes(16)))
    HAL.ec_check("curve25519", unhexlify(RFC_7748[0][1]))


def test_points_off_the_curve_are_refused():
    for curve, vectors in RFC_5903.items():
        good = unhexlify(vectors[1])
        assert refused(curve, good) is None
        size = len(good) // 2
        for at in (0, size - 1, size, 2 * size - 1):
            bad = bytearray(good)
            bad[at] ^= 1
            assert refused(curve, bad) in ("off-curve", "range")
        swapped = good[size:] + good[:size]
        assert refused(curve, swapped) == "off-curve"
        # What stands for infinity elsewhere.
        assert refused(curve, bytes(2 * size)) == "off-curve"


def test_coordinates_of_the_prime_or_more_are_refused():
    for curve, vectors in RFC_5903.items():
        size, prime, _, _, _, _ = curves.weierstrass(curve)
        p = curves.value(prime)
        good = unhexlify(vectors[1])
        assert refused(curve, p.to_bytes(size, "big") + good[size:]) == "range"
        assert refused(curve, good[:size] + p.to_bytes(size, "big")) == "range"
        assert refused(curve, b"\xff" * (2 * size)) == "range"
        # The same point, written otherwise, where there is room.
        if curve == "ecp521":
            x = int.from_bytes(good[:size], "big") + p
            assert refused(curve, x.to_bytes(size, "big") + good[size:]) == "range"


def test_values_of_another_length_are_refused():
    for curve, vectors in RFC_5903.items():
        good = unhexlify(vectors[1])
        for bad in (b"", b"\4" + good, good[:-1], good + b"\0", good[: len(good) // 2]):
            assert refused(curve, bad) == "length"
    for n in (0, 31, 33, 64):
        assert refused("curve25519", bytes([9]) + bytes(n - 1) if n else b"") == "length"


def test_private_keys_out_of_range_are_refused():
    for curve, vectors in RFC_5903.items():
        size, _, _, _, _, order = curves.weierstrass(curve)
        public = unhexlify(vectors[1])
        for number in (0, order, order + 1):
            private = number.to_bytes(size, "big")
            assert misused(HAL.ec_public, curve, private)
            assert misused(HAL.ecdh, curve, private, public)
    for curve in ("ecp256", "curve25519"):
        assert misused(HAL.ec_public, curve, b"\1" * 31)
        assert misused(HAL.ec_public, curve, b"\1" * 33)
    assert misused(HAL.ec_pair, "ecp224")


def test_the_ends_of_the_range():
    for curve in RFC_5903:
        size, prime, _, x, y, order = curves.weierstrass(curve)
        p = curves.value(prime)
        base = x.to_bytes(size, "big") + y.to_bytes(size, "big")
        opposite = x.to_bytes(size, "big") + (p - y).to_bytes(size, "big")
        assert HAL.ec_public(curve, (1).to_bytes(size, "big")) == base
        assert HAL.ec_public(curve, (order - 1).to_bytes(size, "big")) == opposite
        assert HAL.ecdh(curve, (order - 1).to_bytes(size, "big"), opposite) == base[:size]


def test_pairs():
    for curve, size in (("ecp256", 32), ("ecp384", 48), ("ecp521", 66), ("curve25519", 32)):
        private, public = HAL.ec_pair(curve)
        other, theirs = HAL.ec_pair(curve)
        assert private != other and len(private) == size and isinstance(private, bytearray)
        HAL.ec_check(curve, public)
        secret = HAL.ecdh(curve, private, theirs)
        assert secret == HAL.ecdh(curve, other, public)
        assert len(secret) == size and isinstance(secret, bytearray)


def test_the_mask_does_not_show():
    engine = software.Engine()
    for curve in ("ecp256", "ecp521", "curve25519"):
        scalar = b"\x9d\x03\xc5"
        expected = engine.ec(curve, scalar, None, b"\1")
        for mask in (b"", b"\0", b"\2", b"\xff" * 16, b"\xff" * 80):
            assert engine.ec(curve, scalar, None, mask) == expected


def test_sums_of_two_multiples():
    engine = software.Engine()
    for curve in RFC_5903:
        size, _, _, _, _, order = curves.weierstrass(curve)
        base = engine.ec(curve, b"\1", None, b"")
        # Equal points, opposite ones, infinity on either side, on both.
        for u, v, total in ((5, 5, 10), (0, 9, 9), (9, 0, 9), (1, 1, 2), (255, 3, 258)):
            expected = engine.ec(curve, bytes((total >> 8, total & 255)), None, b"")
            assert engine.ec_sum(curve, bytes([u]), bytes([v]), base) == expected
        assert engine.ec_sum(curve, b"\0", b"\0", base) is None
        minus = (order - 7).to_bytes(size, "big")
        assert engine.ec_sum(curve, minus, (7).to_bytes(size, "big"), base) is None


def test_unloading():
    private, public = HAL.ec_pair("ecp256")
    modules.unload(*modules.PUBLIC_KEYS)
    assert not hasattr(package, "software_ec") and not hasattr(package, "field")
    assert HAL.ec_public("ecp256", private) == public


def test_counts_and_proof():
    hal = Hal([software.Engine()])
    assert hal.prove("ec", "curve25519") == {"software": "ok"}
    assert hal.prove("ec_sum", "ecp256") == {"software": "ok"}
    hal.ec_pair("curve25519")
    assert hal.counts["ec"] == {"software": 1}


def test_a_fault_is_seen():
    from hal import EngineError, software_ec

    right = software_ec.inverse
    software_ec.inverse = lambda x, n: right(x, n) + 1
    try:
        software.Engine().ec("ecp256", b"\x12", None, b"")
    except EngineError as error:
        assert error.code == "wrong-result"
    else:
        raise AssertionError("off the curve")
    finally:
        software_ec.inverse = right


class Wrong(software.Engine):
    name = "wrong"

    def ec(self, *arguments):
        answer = bytearray(super().ec(*arguments))
        answer[-1] ^= 1
        return bytes(answer)

    def ec_sum(self, *arguments):
        return super().ec(arguments[0], arguments[1], None, b"")


def test_an_engine_with_wrong_answers_is_struck_off():
    for curve in ("ecp256", "curve25519"):
        assert Hal([Wrong()]).prove("ec", curve) == {"wrong": "wrong-result"}
    assert Hal([Wrong()]).prove("ec_sum", "ecp256") == {"wrong": "wrong-result"}
    hal = Hal([Wrong(), software.Engine()])
    hal.ec_pair("curve25519")
    assert hal.counts["ec"] == {"software": 1}
    assert hal.failures == {"wrong:ec": {"wrong-result": 1}}
