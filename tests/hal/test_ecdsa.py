"""ECDSA against the RFCs' known answers and its negatives, under both interpreters."""

from binascii import unhexlify

from hal import Hal, HalError, curves, ecdsa, software

HAL = Hal([software.Engine()])

# RFC 4754 section 8, of "abc". curve: (hash, private key, public key, r || s)
RFC_4754 = {
    "ecp256": (
        "sha256",
        b"dc51d3866a15bacde33d96f992fca99da7e6ef0934e7097559c27f1614c88a7f",
        (
            b"2442a5cc0ecd015fa3ca31dc8e2bbc70bf42d60cbca20085e0822cb04235e9706fc98bd7e50211a4"
            b"a27102fa3549df79ebcb4bf246b80945cddfe7d509bbfd7d"
        ),
        (
            b"cb28e0999b9c7715fd0a80d8e47a77079716cbbf917dd72e97566ea1c066957c86fa3bb4e26cad5b"
            b"f90b7f81899256ce7594bb1ea0c89212748bff3b3d5b0315"
        ),
    ),
    "ecp384": (
        "sha384",
        (
            b"0beb646634ba87735d77ae4809a0ebea865535de4c1e1dcb692e84708e81a5af62e528c38b2a81b3"
            b"5309668d73524d9f"
        ),
        (
            b"96281bf8dd5e0525ca049c048d345d3082968d10fedf5c5aca0c64e6465a97ea5ce10c9dfec21797"
            b"415710721f437922447688ba94708eb6e2e4d59f6ab6d7edff9301d249fe49c33096655f5d502fad"
            b"3d383b91c5e7edaa2b714cc99d5743ca"
        ),
        (
            b"fb017b914e29149432d8bac29a514640b46f53ddab2c69948084e2930f1c8f7e08e07c9c63f2d21a"
            b"07dcb56a6af56eb3b263a1305e057f984d38726a1b46874109f417bca112674c528262a40a629af1"
            b"cbb9f516ce0fa7d2ff630863a00e8b9f"
        ),
    ),
    "ecp521": (
        "sha512",
        (
            b"0065fda3409451dcab0a0ead45495112a3d813c17bfd34bdf8c1209d7df5849120597779060a7ff9"
            b"d704adf78b570ffad6f062e95c7e0c5d5481c5b153b48b375fa1"
        ),
        (
            b"0151518f1af0f563517edd5485190df95a4bf57b5cba4cf2a9a3f6474725a35f7afe0a6ddeb8bedb"
            b"cd6a197e592d40188901cecd650699c9b5e456aea5add19052a8006f3b142ea1bfff7e2837ad44c9"
            b"e4ff6d2d34c73184bbad90026dd5e6e85317d9df45cad7803c6c20035b2f3ff63aff4e1ba64d1c07"
            b"7577da3f4286c58f0aeae643"
        ),
        (
            b"0154fd3836af92d0dca57dd5341d3053988534fde8318fc6aaaab68e2e6f4339b19f2f281a7e0b22"
            b"c269d93cf8794a9278880ed7dbb8d9362caeacee544320552251017705a7030290d1ceb605a9a1bb"
            b"03ff9cdd521e87a696ec926c8c10c8362df4975367101f67d1cf9bccbf2f3d239534fa509e70aac8"
            b"51ae01aac68d62f866472660"
        ),
    ),
}

# RFC 6979 appendices A.2.5 to A.2.7, of "sample". curve: (private key, {hash: r || s})
RFC_6979 = {
    "ecp256": (
        b"c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        {
            "sha256": (
                b"efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41"
                b"d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
            ),
            "sha384": (
                b"0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef77194861f0491e6998b9"
                b"455193e34e7b0d284ddd7149a74b95b9261f13abde940954"
            ),
            "sha512": (
                b"8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f002362ab1adbe2b8ad"
                b"f9cb9edab740ea6049c028114f2460f96554f61fae3302fe"
            ),
        },
    ),
    "ecp384": (
        (
            b"6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825"
            b"f872c9ea60d2edf5"
        ),
        {
            "sha256": (
                b"21b13d1e013c7fa1392d03c5f99af8b30c570c6f98d4ea8e354b63a21d3daa33bde1e888e63355d9"
                b"2fa2b3c36d8fb2cdf3aa443fb107745bf4bd77cb3891674632068a10ca67e3d45db2266fa7d1feeb"
                b"efdc63eccd1ac42ec0cb8668a4fa0ab0"
            ),
            "sha384": (
                b"94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf9"
                b"6e36dd1e80fabe4699ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94f"
                b"a329c145786e679e7b82c71a38628ac8"
            ),
            "sha512": (
                b"ed0959d5880ab2d869ae7f6c2915c6d60f96507f9cb3e047c0046861da4a799cfe30f35cc900056d"
                b"7c99cd7882433709512c8cceee3890a84058ce1e22dbc2198f42323ce8aca9135329f03c068e5112"
                b"dc7cc3ef3446defceb01a45c2667fdd5"
            ),
        },
    ),
    "ecp521": (
        (
            b"00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c"
            b"70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538"
        ),
        {
            "sha256": (
                b"01511bb4d675114fe266fc4372b87682baecc01d3cc62cf2303c92b3526012659d16876e25c7c1e5"
                b"7648f23b73564d67f61c6f14d527d54972810421e7d87589e1a7004a171143a83163d6df460aaf61"
                b"522695f207a58b95c0644d87e52aa1a347916e4f7a72930b1bc06dbe22ce3f58264afd23704cbb63"
                b"b29b931f7de6c9d949a7ecfc"
            ),
            "sha384": (
                b"01ea842a0e17d2de4f92c15315c63ddf72685c18195c2bb95e572b9c5136ca4b4b576ad712a52be9"
                b"730627d16054ba40cc0b8d3ff035b12ae75168397f5d50c6745101f21a3cee066e1961025fb048bd"
                b"5fe2b7924d0cd797babe0a83b66f1e35eeaf5fde143fa85dc394a7dee766523393784484bdf3e001"
                b"14a1c857cde1aa203db65d61"
            ),
            "sha512": (
                b"00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5"
                b"d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa00617cce7cf5064806c467f678d3"
                b"b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1"
                b"dccc43997f1ee0e44da4a67a"
            ),
        },
    ),
}

CURVE = "ecp256"
_, PRIVATE, PUBLIC, SIGNATURE = RFC_4754[CURVE]
PRIVATE, PUBLIC, SIGNATURE = [unhexlify(x) for x in (PRIVATE, PUBLIC, SIGNATURE)]
DIGEST = HAL.hash("sha256", b"abc")
N = curves.weierstrass(CURVE)[5]


def altered(data, at):
    data = bytearray(data)
    data[at] ^= 1
    return data


def rs(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_rfc_4754():
    for curve, (name, private, public, signature) in RFC_4754.items():
        private, public, signature = [unhexlify(x) for x in (private, public, signature)]
        digest = HAL.hash(name, b"abc")
        assert HAL.ec_public(curve, private) == public
        assert HAL.ecdsa_verify(curve, public, digest, signature) is True
        assert HAL.ecdsa_verify(curve, public, altered(digest, 0), signature) is False


def test_rfc_6979():
    for curve, (private, signatures) in RFC_6979.items():
        private = unhexlify(private)
        size, _, _, _, _, n = curves.weierstrass(curve)
        for name, signature in signatures.items():
            digest = HAL.hash(name, b"sample")
            k = next(ecdsa.nonces(HAL, name, n, private, digest))
            r = HAL.ec_public(curve, k)[:size]
            s = ecdsa._s(HAL, curve, n, k, private, digest, int.from_bytes(r, "big") % n)
            assert r + s.to_bytes(size, "big") == unhexlify(signature)


def test_signing_without_extra_input_is_rfc_6979():
    private, signatures = RFC_6979["ecp256"]
    digest = HAL.hash("sha256", b"sample")
    signature = ecdsa.sign(HAL, "ecp256", unhexlify(private), digest, b"")
    assert signature == unhexlify(signatures["sha256"])


def test_signatures_verify_and_differ():
    for curve, (name, private, public, _) in RFC_4754.items():
        private, public = unhexlify(private), unhexlify(public)
        digest = HAL.hash(name, b"another message")
        first = HAL.ecdsa_sign(curve, private, digest)
        assert len(first) == len(public)
        assert HAL.ecdsa_verify(curve, public, digest, first)
        assert HAL.ecdsa_sign(curve, private, digest) != first
        assert not HAL.ecdsa_verify(curve, public, HAL.hash(name, b"x"), first)


def test_digests_of_other_lengths():
    # Shorter than the order, and longer: its leftmost bits count.
    for digest in (b"\xa5" * 20, b"\xa5" * 64, bytes(32)):
        signature = HAL.ecdsa_sign(CURVE, PRIVATE, digest)
        assert HAL.ecdsa_verify(CURVE, PUBLIC, digest, signature)
    signature = HAL.ecdsa_sign(CURVE, PRIVATE, b"\xa5" * 64)
    assert HAL.ecdsa_verify(CURVE, PUBLIC, b"\xa5" * 32, signature)


def test_r_and_s_out_of_range_are_refused():
    r = int.from_bytes(SIGNATURE[:32], "big")
    s = int.from_bytes(SIGNATURE[32:], "big")
    assert HAL.ecdsa_verify(CURVE, PUBLIC, DIGEST, rs(r, s))
    # -s is a signature too: malleable, by the standard.
    assert HAL.ecdsa_verify(CURVE, PUBLIC, DIGEST, rs(r, N - s))
    for bad in ((0, s), (r, 0), (0, 0), (N, s), (r, N), (1, 1), (N - 1, N - 1), (s, r)):
        assert HAL.ecdsa_verify(CURVE, PUBLIC, DIGEST, rs(*bad)) is False
    for over in ((r, 2**256 - 1), (2**256 - 1, s)):
        assert HAL.ecdsa_verify(CURVE, PUBLIC, DIGEST, rs(*over)) is False


def test_other_spellings_of_a_signature_are_refused():
    # 521 bits leave room in 66 bytes: for s + n, and for leaving out a leading zero.
    private, signatures = RFC_6979["ecp521"]
    public = HAL.ec_public("ecp521", unhexlify(private))
    digest = HAL.hash("sha512", b"sample")
    good = unhexlify(signatures["sha512"])
    assert HAL.ecdsa_verify("ecp521", public, digest, good) is True
    n = curves.weierstrass("ecp521")[5]
    s = int.from_bytes(good[66:], "big")
    assert (
        HAL.ecdsa_verify("ecp521", public, digest, good[:66] + (s + n).to_bytes(66, "big"))
        is False
    )
    assert good[66] == 0
    assert HAL.ecdsa_verify("ecp521", public, digest, good[:66] + good[67:]) is False


def test_a_sum_at_infinity_is_refused():
    # h = -r d makes u * generator + v * public vanish.
    d = int.from_bytes(PRIVATE, "big")
    for r in (1, 5, N - 1):
        digest = (-r * d % N).to_bytes(32, "big")
        assert HAL.ecdsa_verify(CURVE, PUBLIC, digest, rs(r, 7)) is False


def test_zero_is_refused_for_every_digest():
    # With r = s = 0 and no check, u and v are 0 and "the same" as r.
    for digest in (bytes(32), b"\xff" * 32, DIGEST):
        assert HAL.ecdsa_verify(CURVE, PUBLIC, digest, bytes(64)) is False


def test_signatures_of_another_length_are_refused():
    for bad in (b"", SIGNATURE[:-1], SIGNATURE + b"\0", b"\0" + SIGNATURE, SIGNATURE[:32]):
        assert HAL.ecdsa_verify(CURVE, PUBLIC, DIGEST, bad) is False
    assert HAL.ecdsa_verify("ecp384", PUBLIC, DIGEST, SIGNATURE) is False


def test_altered_signatures_are_refused():
    for at in (0, 15, 31, 32, 63):
        assert HAL.ecdsa_verify(CURVE, PUBLIC, DIGEST, altered(SIGNATURE, at)) is False


def test_public_keys_that_are_no_points_are_refused():
    for bad in (bytes(64), altered(PUBLIC, 63), PUBLIC[:-1], b"\4" + PUBLIC, b"\xff" * 64):
        assert HAL.ecdsa_verify(CURVE, bad, DIGEST, SIGNATURE) is False


def test_private_keys_out_of_range_are_refused():
    for bad in (bytes(32), N.to_bytes(32, "big"), PRIVATE[:-1], PRIVATE + b"\0"):
        try:
            HAL.ecdsa_sign(CURVE, bad, DIGEST)
        except ValueError:
            pass
        else:
            raise AssertionError("signed")


def test_a_fault_is_not_sent():
    # The second computation of s differs from the first.
    from hal import ecdsa  # the one in use: another test may have unloaded that of above

    real = ecdsa._s
    calls = []

    def faulty(*arguments):
        calls.append(1)
        return real(*arguments) + (len(calls) == 2)

    ecdsa._s = faulty
    try:
        HAL.ecdsa_sign(CURVE, PRIVATE, DIGEST)
    except HalError:
        pass
    else:
        raise AssertionError("signed")
    finally:
        ecdsa._s = real
    assert len(calls) == 2


def test_der():
    for curve, (_, _, _, signature) in RFC_4754.items():
        signature = unhexlify(signature)
        der = ecdsa.to_der(curve, signature)
        assert ecdsa.from_der(curve, der) == signature
        assert ecdsa.from_der(curve, memoryview(der)) == signature
    small = bytes(31) + b"\x7f" + bytes(31) + b"\x80"
    assert ecdsa.to_der(CURVE, small) == unhexlify(b"300702017f02020080")
    assert ecdsa.from_der(CURVE, unhexlify(b"300702017f02020080")) == small


def test_der_that_is_not_the_one_encoding_is_refused():
    der = ecdsa.to_der(CURVE, SIGNATURE)
    longer = ecdsa.to_der("ecp521", bytes([1]) + bytes(65) + bytes([1]) + bytes(65))
    bad = [der[:n] for n in range(len(der))] + [der + b"\0", b"\x31" + der[1:]]
    bad += [altered(der, 1), altered(der, 2), altered(der, 3), longer]
    bad += [
        unhexlify(x)
        for x in (
            b"3006020100",
            b"30080202000102020001",  # a zero too many
            b"3081060201010201",
            b"308106020101020101",  # a longer length than needed
            b"300602010102810101",
            b"30800201010201010000",  # indefinite
            b"3006020101030101",
            b"3006020181020101",  # negative
            b"30080201010201010500",  # something after s
            b"3023022101" + b"00" * 32 + b"020101",  # more than 32 bytes
        )
    ]
    for der in bad:
        try:
            ecdsa.from_der(CURVE, der)
        except ValueError:
            pass
        else:
            raise AssertionError(der)
