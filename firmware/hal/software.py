"""The complete engine in plain Python: the reference, and what the others fall back to.

Each algorithm is loaded on its first use, so that a board pays only for what it is asked.
"""

import os

_HASHES = ("sha256", "sha384", "sha512", "sha1", "md5")
_CURVES = ("ecp256", "ecp384", "ecp521")


class Engine:
    name = "software"

    def can(self, op, what):
        """True for every operation of the HAL; random only where the system has a source."""
        if op == "hash":
            return what in _HASHES
        if op == "random":
            return hasattr(os, "urandom")
        if op == "ec":
            return what in _CURVES or what == "curve25519"
        if op == "ec_sum":
            return what in _CURVES
        return op in ("modexp", "aes_cbc", "des3_cbc")

    def modexp(self, base, exponent, modulus):
        from hal import software_modexp

        return software_modexp.modexp(base, exponent, modulus)

    def aes_cbc(self, key, iv, data, encrypt):
        from hal import software_aes

        return software_aes.cbc(key, iv, data, encrypt)

    def des3_cbc(self, key, iv, data, encrypt):
        from hal import software_des

        return software_des.cbc(key, iv, data, encrypt)

    def hash(self, name, *parts):
        if name == "md5":
            from hal.software_md5 import md5 as digest
        elif name == "sha1":
            from hal.software_sha1 import sha1 as digest
        else:
            from hal import software_sha2

            digest = getattr(software_sha2, name)
        return digest(parts)

    def ec(self, curve, scalar, point, mask):
        if curve == "curve25519":
            from hal import software_x25519

            return software_x25519.multiply(scalar, point, mask)
        from hal import software_ec

        return software_ec.multiply(curve, scalar, point, mask)

    def ec_sum(self, curve, u, v, point):
        from hal import software_ec

        return software_ec.combine(curve, u, v, point)

    def random(self, n):
        return bytearray(os.urandom(n))
