"""Keying material against known answers (tests/vectors/ikev1.json)."""

import json
from binascii import unhexlify

from ike import groups, keys
from ike import registry as R
from pair import make_hal

with open(__file__.rpartition("/")[0] + "/../vectors/ikev1.json") as file:
    VECTORS = json.load(file)


class Given:
    """The row of a vector, decoded; it serves as a suite too."""

    def __init__(self, row):
        for name, value in row.items():
            text = name in ("hash", "cipher", "group")
            setattr(self, name, value if text else unhexlify(value))


def test_skeyid_and_its_family():
    hal = make_hal()
    rows = VECTORS["exchange"] + VECTORS["skeyid"]
    assert len(rows) == 3
    for row in rows:
        v = Given(row)
        skeyid = keys.skeyid_psk(hal, v, v.psk, v.ni, v.nr)
        assert skeyid == v.skeyid
        family = keys.skeyid_family(hal, v, skeyid, v.g_xy, v.cky_i, v.cky_r)
        assert family == (v.skeyid_d, v.skeyid_a, v.skeyid_e)


def test_cipher_key_iv_and_hash_r():
    hal = make_hal()
    for row in VECTORS["exchange"]:
        v = Given(row)
        assert keys.cipher_key(hal, v, bytearray(v.skeyid_e)) == v.ka
        assert keys.phase1_iv(hal, v, v.g_xi, v.g_xr) == v.iv
        computed = keys.hash_r(
            hal, v.hash, v.skeyid, v.g_xi, v.g_xr, v.cky_i, v.cky_r, v.sai_b, v.idir_b
        )
        assert computed == v.hash_r


def test_iv_of_a_later_exchange():
    v = Given(VECTORS["exchange"][1])
    msgid = int.from_bytes(v.message_id, "big")
    assert keys.exchange_iv(make_hal(), v, v.iv, msgid) == v.exchange_iv


def test_shared_secret_with_leading_zero_keeps_its_length():
    v = Given(VECTORS["dh"][0])
    hal = make_hal()
    prime = groups.prime("modp1024")
    assert v.g_xy[0] == 0
    assert hal.modexp(v.g_xr, v.priv, prime) == v.g_xy
    assert hal.modexp(b"\2", v.priv, prime) == v.g_xi


def test_cipher_key_longer_than_skeyid_e():
    """Ka = K1 | K2 where SKEYID_e is shorter than the key (RFC 2409 appendix B)."""
    hal = make_hal()

    class Suite:
        hash = "sha1"
        cipher = "aes256"

    skeyid_e = bytearray(range(20))
    k1 = hal.hmac("sha1", skeyid_e, b"\0")
    k2 = hal.hmac("sha1", skeyid_e, k1)
    assert keys.cipher_key(hal, Suite, skeyid_e) == (k1 + k2)[:32]


def test_hash_i_is_hash_r_mirrored():
    hal = make_hal()
    v = Given(VECTORS["exchange"][0])
    mirrored = keys.hash_i(
        hal, v.hash, v.skeyid, v.g_xr, v.g_xi, v.cky_r, v.cky_i, v.sai_b, v.idir_b
    )
    assert mirrored == v.hash_r


# The first and last 64-bit words behind and before the ones of each prime (RFC 2409 section 6,
# RFC 3526 sections 2 to 7).
PRIMES = {
    "modp1024": ("c90fdaa22168c234", "49286651ece65381"),
    "modp1536": ("c90fdaa22168c234", "f1746c08ca237327"),
    "modp2048": ("c90fdaa22168c234", "15728e5a8aacaa68"),
    "modp3072": ("c90fdaa22168c234", "4b82d120a93ad2ca"),
    "modp4096": ("c90fdaa22168c234", "4df435c934063199"),
    "modp6144": ("c90fdaa22168c234", "e694f91e6dcc4024"),
    "modp8192": ("c90fdaa22168c234", "60c980dd98edd3df"),
}


def test_primes_are_those_of_the_rfcs():
    assert sorted(PRIMES) == sorted([name for name, row in R.GROUPS.items() if row[2]])
    for name, (head, tail) in PRIMES.items():
        prime = groups.prime(name)
        assert len(prime) * 8 == R.GROUPS[name][1]
        ones = b"\xff" * 8
        assert prime[:16] == ones + unhexlify(head), name
        assert prime[-16:] == unhexlify(tail) + ones, name
        assert groups.prime(name) is prime
