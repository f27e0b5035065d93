"""The software engine against the published known answers, under both interpreters."""

import os
from binascii import hexlify, unhexlify

from hal import Hal, software

ENGINE = software.Engine()


def _hash(name, *parts):
    return hexlify(ENGINE.hash(name, *parts))


def _cbc(cipher, key, iv, plain, expected):
    key, iv, plain, expected = [unhexlify(x) for x in (key, iv, plain, expected)]
    assert cipher(key, iv, plain, True) == expected
    assert cipher(key, iv, expected, False) == plain


# SP 800-38A section F.2, all four blocks
PLAIN = (
    b"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    b"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
IV = b"000102030405060708090a0b0c0d0e0f"


def test_aes_128_cbc():
    _cbc(
        ENGINE.aes_cbc,
        b"2b7e151628aed2a6abf7158809cf4f3c",
        IV,
        PLAIN,
        b"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
        b"73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
    )


def test_aes_192_cbc():
    _cbc(
        ENGINE.aes_cbc,
        b"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        IV,
        PLAIN,
        b"4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"
        b"571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
    )


def test_aes_256_cbc():
    _cbc(
        ENGINE.aes_cbc,
        b"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        IV,
        PLAIN,
        b"f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
        b"39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    )


def test_aes_single_blocks_of_fips_197():
    # Appendix C: with a zero IV the first block of CBC is the bare cipher.
    plain = b"00112233445566778899aabbccddeeff"
    zero = b"00" * 16
    for n, expected in (
        (16, b"69c4e0d86a7b0430d8cdb78070b4c55a"),
        (24, b"dda97ca4864cdfe06eaf70a0ec0d7191"),
        (32, b"8ea2b7ca516745bfeafc49904b496089"),
    ):
        _cbc(ENGINE.aes_cbc, hexlify(bytes(range(n))), zero, plain, expected)


def test_ciphers_leave_key_iv_and_data_alone():
    for cipher, key_size, block in ((ENGINE.aes_cbc, 32, 16), (ENGINE.des3_cbc, 24, 8)):
        key = bytearray(range(key_size))
        iv = bytearray(range(block))
        data = bytearray(range(3 * block))
        for encrypt in (True, False):
            from_bytearrays = cipher(key, iv, data, encrypt)
            assert (key, iv) == (bytearray(range(key_size)), bytearray(range(block)))
            assert data == bytearray(range(3 * block))
            views = [memoryview(x) for x in (key, iv, data)]
            assert cipher(*views, encrypt) == from_bytearrays
            assert cipher(key, iv, b"", encrypt) == b""


def test_3des_of_sp_800_67():
    # Appendix B.1, block by block: it is given in ECB.
    key = b"0123456789abcdef23456789abcdef01456789abcdef0123"
    for plain, expected in (
        (b"5468652071756663", b"a826fd8ce53b855f"),
        (b"6b2062726f776e20", b"cce21c8112256fe6"),
        (b"666f78206a756d70", b"68d5c05dd9b6b900"),
    ):
        _cbc(ENGINE.des3_cbc, key, b"00" * 8, plain, expected)


def test_3des_with_equal_keys_is_des():
    # FIPS 81, table C1 (CBC): single DES, chained.
    _cbc(
        ENGINE.des3_cbc,
        b"0123456789abcdef" * 3,
        b"1234567890abcdef",
        hexlify(b"Now is the time for all "),
        b"e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6",
    )


def test_md5_of_rfc_1321():
    for message, expected in (
        (b"", b"d41d8cd98f00b204e9800998ecf8427e"),
        (b"a", b"0cc175b9c0f1b6a831c399e269772661"),
        (b"abc", b"900150983cd24fb0d6963f7d28e17f72"),
        (b"message digest", b"f96b697d7cb7938d525a2f31aaf161d0"),
        (b"abcdefghijklmnopqrstuvwxyz", b"c3fcd3d76192e4007dfb496cca67e13b"),
        (b"1234567890" * 8, b"57edf4a22be3c955ac49da2e2107b67a"),
    ):
        assert _hash("md5", message) == expected


TWO_BLOCKS_256 = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
TWO_BLOCKS_512 = bytes([97 + i + j for i in range(14) for j in range(8)])


def test_sha1_of_fips_180():
    assert _hash("sha1", b"abc") == b"a9993e364706816aba3e25717850c26c9cd0d89d"
    assert _hash("sha1", TWO_BLOCKS_256) == b"84983e441c3bd26ebaae4aa1f95129e5e54670f1"


def test_sha256_of_fips_180():
    assert _hash("sha256", b"abc") == (
        b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert _hash("sha256", TWO_BLOCKS_256) == (
        b"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    )


def test_sha384_of_fips_180():
    assert _hash("sha384", b"abc") == (
        b"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"
        b"1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
    )
    assert _hash("sha384", TWO_BLOCKS_512) == (
        b"09330c33f71147e83d192fc782cd1b4753111b173b3b05d2"
        b"2fa08086e3b0f712fcc7c71a557e2db966c3e9fa91746039"
    )


def test_sha512_of_fips_180():
    assert _hash("sha512", b"abc") == (
        b"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        b"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    )
    assert _hash("sha512", TWO_BLOCKS_512) == (
        b"8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
        b"501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
    )


def test_hash_of_parts_is_the_hash_of_the_whole():
    whole = bytes(range(256)) * 2
    for name in ("md5", "sha1", "sha256", "sha384", "sha512"):
        expected = ENGINE.hash(name, whole)
        assert ENGINE.hash(name, bytearray(whole)) == expected
        assert ENGINE.hash(name, b"", whole[:1], memoryview(whole)[1:300], whole[300:]) == expected


# (key, text) of the test cases of RFC 4231 section 4: 1, 2, 6 and 7
HMAC_CASES = (
    (b"\x0b" * 20, b"Hi There"),
    (b"Jefe", b"what do ya want for nothing?"),
    (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First"),
    (
        b"\xaa" * 131,
        (
            b"This is a test using a larger than block-size key and a larger than block-size "
            b"data. The key needs to be hashed before being used by the HMAC algorithm."
        ),
    ),
)
HMAC_ANSWERS = {
    "sha256": (
        b"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        b"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        b"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
    "sha384": (
        (
            b"afd03944d84895626b0825f4ab46907f15f9dadbe4101ec6"
            b"82aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"
        ),
        (
            b"af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"
            b"e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
        ),
        (
            b"4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f"
            b"3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"
        ),
        (
            b"6617178e941f020d351e2f254e8fd32c602420feb0b8fb9a"
            b"dccebb82461e99c5a678cc31e799176d3860e6110c46523e"
        ),
    ),
    "sha512": (
        (
            b"87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
            b"daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
        ),
        (
            b"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            b"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        ),
        (
            b"80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
            b"6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"
        ),
        (
            b"e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
            b"b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"
        ),
    ),
}


def test_hmac_of_rfc_4231():
    hal = Hal([ENGINE])
    for name in HMAC_ANSWERS:
        for (key, text), expected in zip(HMAC_CASES, HMAC_ANSWERS[name]):
            answer = hal.hmac(name, key, text[:9], text[9:])
            assert isinstance(answer, bytearray)
            assert hexlify(answer) == expected


def test_hmac_of_rfc_2202():
    hal = Hal([ENGINE])
    texts = [text for _, text in HMAC_CASES[:3]]
    for name, keys, answers in (
        (
            "md5",
            (b"\x0b" * 16, b"Jefe", b"\xaa" * 80),
            (
                b"9294727a3638bb1c13f48ef8158bfc9d",
                b"750c783e6ab0b503eaa86e310a5db738",
                b"6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
            ),
        ),
        (
            "sha1",
            (b"\x0b" * 20, b"Jefe", b"\xaa" * 80),
            (
                b"b617318655057264e28bc0b6fb378c8ef146be00",
                b"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
                b"aa4ae5e15272d00e95705637ce8a3b55ed402112",
            ),
        ),
    ):
        for key, text, expected in zip(keys, texts, answers):
            assert hexlify(hal.hmac(name, key, text)) == expected


def test_hmac_key_of_exactly_a_block_is_used_as_it_is():
    hal = Hal([ENGINE])
    for name, block in (("sha256", 64), ("sha512", 128)):
        key = bytes(range(block))
        inner = ENGINE.hash(name, bytes(k ^ 0x36 for k in key), b"text")
        outer = ENGINE.hash(name, bytes(k ^ 0x5C for k in key), inner)
        assert hal.hmac(name, key, b"text") == outer


def _operands(bits):
    p = bytearray(os.urandom(bits // 8))
    p[0] |= 0x80
    p[-1] |= 1
    return bytes(p), int.from_bytes(bytes(p), "big")


def test_modexp_agrees_with_pow_at_every_shape_of_modulus():
    # Odd numbers of bytes among them.
    for bits in (
        8,
        16,
        64,
        512,
        520,
        768,
        1000,
        1024,
        1032,
        1096,
        1536,
        1544,
        2048,
        3072,
        4096,
        4104,
    ):
        modulus, p = _operands(bits)
        base = os.urandom(bits // 8)
        for exponent in (b"\1", b"\x5a\x01", os.urandom(5)):
            expected = pow(int.from_bytes(base, "big"), int.from_bytes(exponent, "big"), p)
            answer = ENGINE.modexp(base, exponent, modulus)
            assert isinstance(answer, bytearray)
            assert answer == expected.to_bytes(bits // 8, "big"), bits


def test_modexp_with_each_size_of_window():
    from hal import software_modexp

    chosen = software_modexp._window
    modulus, p = _operands(1024)
    base, exponent = os.urandom(128), os.urandom(24)
    expected = pow(int.from_bytes(base, "big"), int.from_bytes(exponent, "big"), p)
    try:
        for window in (1, 2, 4, 8):
            software_modexp._window = lambda size, window=window: window
            answer = software_modexp.modexp(base, exponent, modulus)
            assert int.from_bytes(answer, "big") == expected, window
    finally:
        software_modexp._window = chosen


def test_modexp_in_pieces():
    """The way of a heap in which nothing longer than the modulus has room."""
    from hal import modexp_in_pieces

    for bits in (512, 1000, 1024, 2048):
        modulus, p = _operands(bits)
        for base in (os.urandom(bits // 8), bytes(bits // 8), b"\xff" * (bits // 8)):
            for exponent in (b"\0\0", b"\1", os.urandom(5)):
                expected = pow(int.from_bytes(base, "big"), int.from_bytes(exponent, "big"), p)
                if not any(exponent):
                    expected = 1
                answer = modexp_in_pieces.power(base, exponent, modulus)
                assert isinstance(answer, bytearray)
                assert int.from_bytes(answer, "big") == expected, bits


def fill(places, size):
    """Take pieces of the heap until there is none of a size."""
    try:
        for index in range(len(places)):
            places[index] = bytearray(size)
    except MemoryError:
        pass


def test_modexp_on_a_heap_in_pieces():
    """Gaps of 400 bytes everywhere: a product of two numbers of 2048 bits needs 514."""
    import gc

    from hal import software_modexp

    power = software_modexp._power

    def fail(*_):
        raise MemoryError

    modulus, _ = _operands(2048)
    base = os.urandom(256)
    exponents = b"\1\0\1", os.urandom(5)
    expected = [power(base, exponent, modulus, 2) for exponent in exponents]
    if not hasattr(gc, "mem_free"):  # nor gaps that Python could see
        software_modexp._power = fail
        try:
            answers = [software_modexp.modexp(base, exponent, modulus) for exponent in exponents]
        finally:
            software_modexp._power = power
        assert answers == expected
        return
    gc.collect()
    plugs = [None] * 200
    filling = [None] * (gc.mem_free() // 400)
    fill(filling, 400)
    for index in range(0, len(filling), 2):
        filling[index] = None
    gc.collect()
    fill(plugs, 480)  # where two gaps lie together
    failed = False
    try:
        power(base, exponents[1], modulus, 2)
    except MemoryError:
        failed = True
    answers = [software_modexp.modexp(base, exponent, modulus) for exponent in exponents]
    filling = plugs = None
    assert failed
    assert answers == expected


def test_the_window_is_small_where_the_heap_is():
    import gc

    from hal import software_modexp

    if not hasattr(gc, "mem_free"):
        assert software_modexp._window(1024) == 4
        return
    gc.collect()
    assert software_modexp._window(gc.mem_free() // 256) == 4
    assert software_modexp._window(gc.mem_free() // 64) == 2


def test_modexp_at_the_edges():
    for bits in (512, 2048):
        n = bits // 8
        for modulus in (_operands(bits)[0], b"\xff" * n, b"\x80" + bytes(n - 2) + b"\x01"):
            p = int.from_bytes(modulus, "big")
            for base in (0, 1, 2, p - 1, p >> 1):
                for exponent in (b"\0", b"\0\0\1", b"\0\2", b"\xff\xff"):
                    e = int.from_bytes(exponent, "big")
                    expected = pow(base, e, p) if e else 1  # MicroPython has pow(0, 0, p) == 0
                    answer = ENGINE.modexp(base.to_bytes(n, "big"), exponent, modulus)
                    assert answer == expected.to_bytes(n, "big"), (bits, base, exponent)


def test_modexp_keeps_leading_zeros():
    modulus, _ = _operands(2048)
    # 2^(8 k) has n - 1 - k leading zero bytes.
    for k in (0, 1, 100, 254):
        exponent = (8 * k).to_bytes(32, "big")
        expected = bytes(255 - k) + b"\1" + bytes(k)
        assert ENGINE.modexp(b"\2", exponent, modulus) == expected


def test_modexp_does_not_change_the_exponent():
    exponent = bytearray(b"\0\x80\x01\xff")
    modulus, _ = _operands(1024)
    ENGINE.modexp(b"\5", exponent, modulus)
    assert exponent == b"\0\x80\x01\xff"


def test_random():
    a = ENGINE.random(32)
    assert isinstance(a, bytearray)
    assert len(a) == 32
    assert a != ENGINE.random(32)
    assert ENGINE.random(0) == b""
