"""Keys, hashes and ciphers of IKEv1 phase 1 (RFC 2409), on pyca/cryptography."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher as CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from .suites import Cipher, Group, Suite

# 512 bits: twice the strength of the largest group here (RFC 3526 8, second estimate).
_EXPONENT_BITS = 512


class DiffieHellman:
    """One side's key pair; `public` is padded to the prime's length."""

    def __init__(self, group: Group, private: int | None = None) -> None:
        self._group = group
        self._private = private or secrets.randbits(_EXPONENT_BITS) | 1 << _EXPONENT_BITS - 1
        self.public = pow(2, self._private, group.prime).to_bytes(group.size, "big")

    def shared(self, other: bytes) -> bytes:
        """g^xy, padded to the prime's length (RFC 2409 5)."""
        value = pow(int.from_bytes(other, "big"), self._private, self._group.prime)
        return value.to_bytes(self._group.size, "big")


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
    psk: bytes,
    nonces: tuple[bytes, bytes],
    cookies: tuple[bytes, bytes],
    publics: tuple[bytes, bytes],
    g_xy: bytes,
) -> Keys:
    """All keys for pre-shared key authentication; each pair is (initiator's, responder's)."""
    name = suite.hash
    seed = g_xy + b"".join(cookies)
    # RFC 2409 5.4: SKEYID = prf(pre-shared-key, Ni_b | Nr_b)
    skeyid = prf(name, psk, *nonces)
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
