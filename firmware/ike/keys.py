"""Phase 1 keying material and hashes (RFC 2409 section 5 and appendix B).

Secrets come and go as bytearrays, so that the state that held them can wipe them.
"""

import struct

import hal as _hal
from ike import registry as R


def skeyid_psk(hal, suite, psk, ni_b, nr_b):
    """SKEYID = prf(pre-shared-key, Ni_b | Nr_b)     (RFC 2409 section 5)"""
    return hal.hmac(suite.hash, psk, ni_b, nr_b)


def skeyid_signature(hal, suite, ni_b, nr_b, g_xy):
    """SKEYID = prf(Ni_b | Nr_b, g^xy)     (RFC 2409 section 5)"""
    nonces = ni_b + nr_b
    return hal.hmac(suite.hash, nonces, g_xy)


def skeyid_family(hal, suite, skeyid, g_xy, cky_i, cky_r):
    """SKEYID_d, SKEYID_a, SKEYID_e (RFC 2409 section 5). g_xy is as long as the prime."""
    name = suite.hash
    # SKEYID_d = prf(SKEYID, g^xy | CKY-I | CKY-R | 0)
    skeyid_d = hal.hmac(name, skeyid, g_xy, cky_i, cky_r, b"\0")
    # SKEYID_a = prf(SKEYID, SKEYID_d | g^xy | CKY-I | CKY-R | 1)
    skeyid_a = hal.hmac(name, skeyid, skeyid_d, g_xy, cky_i, cky_r, b"\1")
    # SKEYID_e = prf(SKEYID, SKEYID_a | g^xy | CKY-I | CKY-R | 2)
    skeyid_e = hal.hmac(name, skeyid, skeyid_a, g_xy, cky_i, cky_r, b"\2")
    return skeyid_d, skeyid_a, skeyid_e


def cipher_key(hal, suite, skeyid_e):
    """The key that encrypts phase 1: the first bytes of SKEYID_e, or of Ka where it is too short.

    Ka = K1 | K2 | ..., K1 = prf(SKEYID_e, 0), Kn = prf(SKEYID_e, Kn-1)   (RFC 2409 appendix B)
    """
    size = R.CIPHERS[suite.cipher][2]
    if len(skeyid_e) >= size:
        return skeyid_e[:size]
    block = hal.hmac(suite.hash, skeyid_e, b"\0")
    ka = bytearray(block)
    while len(ka) < size:
        following = hal.hmac(suite.hash, skeyid_e, block)
        _hal.wipe(block)
        block = following
        ka.extend(block)
    key = ka[:size]
    _hal.wipe(ka)
    _hal.wipe(block)
    return key


def phase1_iv(hal, suite, g_xi, g_xr):
    """First IV of phase 1 = hash(g^xi | g^xr), truncated to the block (RFC 2409 appendix B)."""
    return hal.hash(suite.hash, g_xi, g_xr)[: R.CIPHERS[suite.cipher][3]]


def exchange_iv(hal, suite, last_block, msgid):
    """First IV of a later exchange = hash(last phase 1 block | M-ID) (RFC 2409 appendix B)."""
    digest = hal.hash(suite.hash, last_block, struct.pack("!I", msgid))
    return digest[: R.CIPHERS[suite.cipher][3]]


def hash_i(hal, name, skeyid, g_xi, g_xr, cky_i, cky_r, sai_b, idii_b):
    """HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)   (RFC 2409 5)"""
    return hal.hmac(name, skeyid, g_xi, g_xr, cky_i, cky_r, sai_b, idii_b)


def hash_r(hal, name, skeyid, g_xi, g_xr, cky_i, cky_r, sai_b, idir_b):
    """HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)   (RFC 2409 5)"""
    return hal.hmac(name, skeyid, g_xr, g_xi, cky_r, cky_i, sai_b, idir_b)


def informational_hash(hal, suite, skeyid_a, msgid, content):
    """HASH(1) = prf(SKEYID_a, M-ID | N/D), N/D with their generic headers (RFC 2409 5.7)."""
    return hal.hmac(suite.hash, skeyid_a, struct.pack("!I", msgid), content)


def crypt(hal, suite, key, iv, data, encrypt):
    """CBC by the suite's cipher: (result, last ciphertext block = the next IV).

    `data` is a multiple of the block long.
    """
    _, _, _, block, operation = R.CIPHERS[suite.cipher]
    result = getattr(hal, operation)(key, iv, data, encrypt)
    last = (result if encrypt else data)[-block:]
    return result, bytes(last)
