"""A HAL that costs next to nothing and keeps the structure of the real one.

Diffie-Hellman in the numbers modulo a safe prime of 61 bits, written as long as the group's;
SHA-256 for every hash and, once, for HMAC; a cipher in blocks that chains as CBC does. Random
numbers are those of the run before it with the same seed. For tests of a million messages, not
for any security.
"""

import hashlib

_Q = (1 << 61) - 2373  # a safe prime, so that 2 has a large order
_SIZES = {"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


def _digest(*parts):
    state = hashlib.sha256(parts[0])
    for part in parts[1:]:
        state.update(part)
    return state.digest()


def _xor(a, b):
    n = len(a)
    return (int.from_bytes(a, "big") ^ int.from_bytes(b[:n], "big")).to_bytes(n, "big")


class CheapHal:
    """`done` counts operations by name."""

    def __init__(self, seed=b""):
        self._seed = seed
        self._drawn = 0
        self.done = {}
        self.counts = {}

    def _count(self, op):
        self.done[op] = self.done.get(op, 0) + 1

    def modexp(self, base, exponent, modulus):
        self._count("modexp")
        b = int.from_bytes(base, "big") % _Q
        e = int.from_bytes(exponent, "big") % (_Q - 1)
        return bytearray(pow(b, e, _Q).to_bytes(len(modulus), "big"))

    def hash(self, name, *parts):
        self._count("hash")
        found = _digest(b"", *parts)
        return (found + found)[: _SIZES[name]]

    def hmac(self, name, key, *parts):
        self._count("hmac")
        found = _digest(bytes([len(key) & 255]), key, *parts)
        return bytearray((found + found)[: _SIZES[name]])

    def aes_cbc(self, key, iv, data, encrypt):
        return self._cipher(key, iv, data, encrypt, 16)

    def des3_cbc(self, key, iv, data, encrypt):
        return self._cipher(key, iv, data, encrypt, 8)

    def _cipher(self, key, iv, data, encrypt, block):
        self._count("cipher")
        out = bytearray(len(data))
        for at in range(0, len(data), block):
            piece = bytes(data[at : at + block])
            out[at : at + block] = _xor(piece, _digest(key, iv))
            iv = bytes(out[at : at + block]) if encrypt else piece
        return out

    def random(self, n):
        out = b""
        while len(out) < n:
            self._drawn += 1
            out += _digest(self._seed, b"%d" % self._drawn)
        return bytearray(out[:n])
