"""Keys, hashes and ciphers of IKEv1 phase 1 (RFC 2409), on pyca/cryptography."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher as CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .suites import Cipher, Curve, Group, Suite

# 512 bits: twice the strength of the largest group here (RFC 3526 8, second estimate).
_EXPONENT_BITS = 512


_CURVES = {"ecp256": ec.SECP256R1(), "ecp384": ec.SECP384R1(), "ecp521": ec.SECP521R1()}


class KeyPair(Protocol):
    """One side of a Diffie-Hellman; `public` is what KE carries."""

    public: bytes

    def shared(self, other: bytes) -> bytes:
        """g^xy of the other side's public value; ValueError where that is no proper one."""


def key_pair(group: Group | Curve) -> KeyPair:
    if isinstance(group, Group):
        return DiffieHellman(group)
    return _X25519() if group.name == "curve25519" else EllipticCurve(group)


class DiffieHellman:
    """A key pair of a MODP group; `public` is padded to the prime's length."""

    def __init__(self, group: Group, private: int | None = None) -> None:
        self._group = group
        self._private = private or secrets.randbits(_EXPONENT_BITS) | 1 << _EXPONENT_BITS - 1
        self.public = pow(2, self._private, group.prime).to_bytes(group.size, "big")

    def shared(self, other: bytes) -> bytes:
        """g^xy, padded to the prime's length (RFC 2409 5)."""
        number = int.from_bytes(other, "big")
        if not 1 < number < self._group.prime - 1:
            raise ValueError("KE is not between 2 and p - 2")
        value = pow(number, self._private, self._group.prime)
        return value.to_bytes(self._group.size, "big")


class EllipticCurve:
    """A key pair of an ECP group: x | y without the 4 before it; the secret is x (RFC 5903 7)."""

    def __init__(self, group: Curve, private: int | None = None) -> None:
        self._curve = _CURVES[group.name]
        self._private = (
            ec.derive_private_key(private, self._curve)
            if private
            else ec.generate_private_key(self._curve)
        )
        point = self._private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        self.public = point[1:]

    def shared(self, other: bytes) -> bytes:
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, b"\x04" + other)
        except ValueError:
            raise ValueError("KE is not a point of the curve") from None
        return self._private.exchange(ec.ECDH(), point)


class _X25519:
    """A key pair of group 31 (RFC 7748 6.1, RFC 8031)."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def shared(self, other: bytes) -> bytes:
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            raise ValueError("KE is of small order: the shared secret is zero") from None


def prf(hash_name: str, key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), hash_name)


@dataclass(frozen=True)
class Keys:
    """The secrets of one ISAKMP SA; `iv` is the first one of phase 1."""

    suite: Suite
    skeyid: bytes
    skeyid_d: bytes
    skeyid_a: bytes
    skeyid_e: bytes
    ka: bytes
    iv: bytes

    def prf(self, key: bytes, *parts: bytes) -> bytes:
        return prf(self.suite.hash, key, *parts)

    def encrypt(self, iv: bytes, data: bytes) -> bytes:
        context = _context(self.suite.cipher, self.ka, iv).encryptor()
        return context.update(data) + context.finalize()

    def decrypt(self, iv: bytes, data: bytes) -> bytes:
        context = _context(self.suite.cipher, self.ka, iv).decryptor()
        return context.update(data) + context.finalize()

    def informational_iv(self, last_block: bytes, message_id: bytes) -> bytes:
        """hash(last phase 1 CBC output block | M-ID), truncated (RFC 2409 B)."""
        return truncated_hash(self.suite, last_block + message_id)


def derive(
    suite: Suite,
    psk: bytes | None,
    nonces: tuple[bytes, bytes],
    cookies: tuple[bytes, bytes],
    publics: tuple[bytes, bytes],
    g_xy: bytes,
) -> Keys:
    """All keys, `psk` None for signatures; each pair is (initiator's, responder's)."""
    name = suite.hash
    seed = g_xy + b"".join(cookies)
    # RFC 2409 5.4: SKEYID = prf(pre-shared-key, Ni_b | Nr_b)
    #          5.1: SKEYID = prf(Ni_b | Nr_b, g^xy)
    skeyid = prf(name, b"".join(nonces), g_xy) if psk is None else prf(name, psk, *nonces)
    # RFC 2409 5: SKEYID_d = prf(SKEYID, g^xy | CKY-I | CKY-R | 0), _a and _e chained to it
    skeyid_d = prf(name, skeyid, seed, b"\x00")
    skeyid_a = prf(name, skeyid, skeyid_d, seed, b"\x01")
    skeyid_e = prf(name, skeyid, skeyid_a, seed, b"\x02")
    ka = encryption_key(name, skeyid_e, suite.cipher)
    # RFC 2409 B: the first IV is hash(g^xi | g^xr), truncated to the block
    iv = truncated_hash(suite, b"".join(publics))
    return Keys(suite, skeyid, skeyid_d, skeyid_a, skeyid_e, ka, iv)


def encryption_key(hash_name: str, skeyid_e: bytes, cipher: Cipher) -> bytes:
    """Ka: SKEYID_e, or K1 | K2 | ... where that is too short (RFC 2409 B)."""
    if len(skeyid_e) >= cipher.key_size:
        return skeyid_e[: cipher.key_size]
    # K1 = prf(SKEYID_e, 0), K2 = prf(SKEYID_e, K1), ...
    block = key = prf(hash_name, skeyid_e, b"\x00")
    while len(key) < cipher.key_size:
        block = prf(hash_name, skeyid_e, block)
        key += block
    return key[: cipher.key_size]


def truncated_hash(suite: Suite, data: bytes) -> bytes:
    """An IV: the negotiated hash, cut to the cipher's block."""
    return hashlib.new(suite.hash, data).digest()[: suite.cipher.block_size]


def _context(cipher: Cipher, key: bytes, iv: bytes) -> CipherContext:
    algorithm = TripleDES if cipher.name == "3des" else AES
    return CipherContext(algorithm(key), CBC(iv))
