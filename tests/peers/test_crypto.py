"""The peer's derivations against published known answers."""

import json
from pathlib import Path

import pytest

from ikelet.peers.crypto import DiffieHellman, Keys, derive, encryption_key
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
