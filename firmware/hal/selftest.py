"""Known answers, by (operation, what): an engine gives them before it is used.

modexp at the sizes of the MODP groups: operands are a fixed pattern, the answer is kept as a
24-bit check, which tells a broken engine (not an adversary). The five-byte exponent spans two
words of an accelerator and keeps the software engine's share of the first exchange small.
"""

from binascii import unhexlify

from micropython import const

from hal import EngineError

_MODEXP = {
    1024: 0x4434E3,
    1536: 0x24B4B9,
    2048: 0x7DDF71,
    3072: 0x486B9C,
    4096: 0xA6314E,
    6144: 0x6AC262,
    8192: 0x06B803,
}
_EXPONENT = const(b"\x9d\x03\xc5\x5a\xe7")

# Of short scalars, as the time depends on the length alone, and the same check.
_SCALARS = b"\x9d\x03\xc5", b"\x3a\xe1\x76"
_EC = {"ecp256": 0xC101B5, "ecp384": 0xDE2E15, "ecp521": 0x962770, "curve25519": 0xF0B33E}
_EC_SUM = {"ecp256": 0x052461, "ecp384": 0x2A2356, "ecp521": 0x995B8A}

# SP 800-38A, F.2: key (more of the FIPS 197 kind for the longer ones), two blocks each.
_AES_KEY = {
    128: b"2b7e151628aed2a6abf7158809cf4f3c",
    192: b"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    256: b"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
}
_AES_PLAIN = const(b"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
_AES_CIPHER = {
    128: b"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
    192: b"4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a",
    256: b"f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
}

# The keys and text of SP 800-67, appendix B, chained under a zero IV.
_DES_KEY = const(b"0123456789abcdef23456789abcdef01456789abcdef0123")
_DES_PLAIN = const(b"54686520717566636b2062726f776e20")
_DES_CIPHER = const(b"a826fd8ce53b855f854b649a0a3903c9")

# FIPS 180's 896-bit message, "abcdefgh bcdefghi ..." without the blanks.
_DIGEST = {
    "md5": b"03dd8807a93175fb062dfb55dc7d359c",
    "sha1": b"a49b2446a02c645bf419f995b67091253a04a259",
    "sha256": b"cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
    "sha384": b"09330c33f71147e83d192fc782cd1b4753111b173b3b05d2"
    b"2fa08086e3b0f712fcc7c71a557e2db966c3e9fa91746039",
    "sha512": b"8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
    b"501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909",
}


def check(engine, op, what):
    """Raise EngineError unless the engine gives the known answer for (op, what)."""
    globals()["_" + op](engine, what)


def _expect(good):
    if not good:
        raise EngineError("wrong-result")


def pattern(n, seed):
    """n bytes without a period or a symmetry that could hide a misplaced word."""
    out = bytearray(n)
    for i in range(n):
        seed = (seed * 171 + 11213) % 53125
        out[i] = seed >> 3 & 0xFF
    return out


def checksum(data):
    """24 bits that depend on every byte and its place."""
    total = 0
    for byte in data:
        total = (total * 61 + byte) & 0xFFFFFF
    return total


def modexp_operands(bits):
    """(base, exponent, modulus) of the known answer for a modulus of `bits`."""
    modulus = pattern(bits // 8, bits)
    modulus[0] |= 0x80
    modulus[-1] |= 1
    base = pattern(bits // 8, bits + 1)
    base[0] &= 0x7F
    return base, _EXPONENT, modulus


def _modexp(engine, bits):
    base, exponent, modulus = modexp_operands(bits)
    answer = engine.modexp(base, exponent, modulus)
    if bits in _MODEXP:
        _expect(len(answer) == bits // 8 and checksum(answer) == _MODEXP[bits])
    else:  # an RSA key of an uncommon size
        numbers = [int.from_bytes(x, "big") for x in (base, exponent, modulus)]
        _expect(answer == pow(*numbers).to_bytes(bits // 8, "big"))


def _ec(engine, curve):
    point = bytes(pattern(32, 9)) if curve == "curve25519" else None
    answer = engine.ec(curve, _SCALARS[0], point, _SCALARS[1])
    _expect(checksum(answer) == _EC[curve])


def _ec_sum(engine, curve):
    point = engine.ec(curve, b"\7", None, b"")
    _expect(checksum(engine.ec_sum(curve, _SCALARS[0], _SCALARS[1], point)) == _EC_SUM[curve])


def _aes_cbc(engine, bits):
    key = unhexlify(_AES_KEY[bits])
    plain = unhexlify(_AES_PLAIN)
    cipher = unhexlify(_AES_CIPHER[bits])
    iv = bytes(range(16))
    _expect(engine.aes_cbc(key, iv, plain, True) == cipher)
    _expect(engine.aes_cbc(key, iv, cipher, False) == plain)


def _des3_cbc(engine, _):
    key = unhexlify(_DES_KEY)
    plain = unhexlify(_DES_PLAIN)
    cipher = unhexlify(_DES_CIPHER)
    _expect(engine.des3_cbc(key, bytes(8), plain, True) == cipher)
    _expect(engine.des3_cbc(key, bytes(8), cipher, False) == plain)


def _hash(engine, name):
    message = bytes([97 + i + j for i in range(14) for j in range(8)])
    _expect(engine.hash(name, message[:65], message[65:]) == unhexlify(_DIGEST[name]))


def _random(engine, _):
    # No known answer: a source stuck at one output is what can be seen in two draws.
    if engine.random(16) == engine.random(16):
        raise EngineError("stuck")
