"""The peer's derivations against published known answers."""

import json
from pathlib import Path

import pytest

from ikelet.peers.crypto import (
    DiffieHellman,
    EllipticCurve,
    Keys,
    derive,
    encryption_key,
    key_pair,
)
from ikelet.peers.suites import CIPHERS, GROUPS, Suite

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "ikev1.json").read_text())
EXCHANGES = [pytest.param(v, id=v["cky_i"]) for v in VECTORS["exchange"]]


def _derive(vector: dict) -> Keys:
    octets = {key: bytes.fromhex(value) for key, value in vector.items() if _is_hex(key)}
    suite = Suite(CIPHERS["aes128"], vector["hash"], GROUPS["modp1024"])
    return derive(
        suite,
        octets["psk"],
        (octets["ni"], octets["nr"]),
        (octets["cky_i"], octets["cky_r"]),
        (octets.get("g_xi", b""), octets.get("g_xr", b"")),
        octets["g_xy"],
    )


def _is_hex(key: str) -> bool:
    return key not in ("hash", "cipher", "group")


@pytest.mark.parametrize("vector", EXCHANGES)
def test_exchange(vector: dict) -> None:
    keys = _derive(vector)
    for name in ("skeyid", "skeyid_d", "skeyid_a", "skeyid_e", "ka", "iv"):
        assert getattr(keys, name).hex() == vector[name], name
    parts = [vector[n] for n in ("g_xr", "g_xi", "cky_r", "cky_i", "sai_b", "idir_b")]
    hash_r = keys.prf(keys.skeyid, bytes.fromhex("".join(parts)))
    assert hash_r.hex() == vector["hash_r"]


@pytest.mark.parametrize("vector", VECTORS["skeyid"])
def test_skeyid(vector: dict) -> None:
    keys = _derive(vector)
    for name in ("skeyid", "skeyid_d", "skeyid_a", "skeyid_e"):
        assert getattr(keys, name).hex() == vector[name], name


@pytest.mark.parametrize("vector", VECTORS["dh"])
def test_shared_secret_keeps_its_leading_zero(vector: dict) -> None:
    dh = DiffieHellman(GROUPS[vector["group"]], int(vector["priv"], 16))
    assert dh.public.hex() == vector["g_xi"]
    shared = dh.shared(bytes.fromhex(vector["g_xr"]))
    assert shared.hex() == vector["g_xy"]
    assert shared[0] == 0


# RFC 5903 8.1: i, g^i as KE carries it, g^r, g^ir
_ECP256 = [
    "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
    "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180",
    "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
    "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63",
    "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
    "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE",
]


def test_curve_of_rfc_5903() -> None:
    private, x, y, other_x, other_y, shared = _ECP256
    pair = EllipticCurve(GROUPS["ecp256"], int(private, 16))
    assert pair.public.hex().upper() == x + y
    assert pair.shared(bytes.fromhex(other_x + other_y)).hex().upper() == shared


@pytest.mark.parametrize(("group", "reason"), [
    ("ecp256", "not a point"), ("ecp521", "not a point"), ("curve25519", "small order"),
])  # fmt: skip
def test_improper_points(group: str, reason: str) -> None:
    for public in (bytes(GROUPS[group].size), b"\1" + bytes(GROUPS[group].size - 1)):
        with pytest.raises(ValueError, match=reason):
            key_pair(GROUPS[group]).shared(public)


def test_skeyid_of_signatures() -> None:
    # RFC 2409 5.1: SKEYID = prf(Ni_b | Nr_b, g^xy)
    import hashlib
    import hmac

    suite = Suite(CIPHERS["aes128"], "sha384", GROUPS["curve25519"])
    keys = derive(suite, None, (b"i", b"r"), (b"I" * 8, b"R" * 8), (b"x", b"y"), b"secret")
    assert keys.skeyid == hmac.new(b"ir", b"secret", hashlib.sha384).digest()


def test_short_skeyid_e_is_expanded() -> None:
    # RFC 2409 B by hand: K1 = prf(SKEYID_e, 0), K2 = prf(SKEYID_e, K1)
    import hashlib
    import hmac

    skeyid_e = bytes(range(16))
    k1 = hmac.new(skeyid_e, b"\x00", hashlib.md5).digest()
    k2 = hmac.new(skeyid_e, k1, hashlib.md5).digest()
    assert encryption_key("md5", skeyid_e, CIPHERS["3des"]) == (k1 + k2)[:24]
    assert encryption_key("md5", skeyid_e, CIPHERS["aes256"]) == k1 + k2
    assert encryption_key("md5", skeyid_e, CIPHERS["aes128"]) == skeyid_e
