"""The canary: found in every spelling, at every alignment, and never by chance."""

import base64
import random
from pathlib import Path

import pytest

from ikelet import psk
from ikelet_hil.canary import MINIMUM, Canary, generate

KEY = bytes(random.Random(7).randbytes(32))
SPELLINGS = {
    "raw": lambda key: key,
    "repr": lambda key: "".join(f"\\x{octet:02X}" for octet in key).encode(),
    "hex": lambda key: key.hex().encode(),
    "HEX": lambda key: key.hex().upper().encode(),
    "dump": lambda key: key.hex(" ").encode(),
    "colons": lambda key: key.hex(":").encode(),
    "0x": lambda key: b"0x" + key.hex().encode(),
    "0s": lambda key: b"0s" + base64.b64encode(key),
    "base64url": lambda key: base64.urlsafe_b64encode(key),
    "list": lambda key: repr(list(key)).encode(),
    "compact list": lambda key: repr(list(key)).replace(" ", "").encode(),
    "UTF-16": lambda key: key.decode("latin-1").encode("utf-16"),
}


def canary() -> Canary:
    return Canary("0x" + KEY.hex())


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_part_in_every_spelling(spelling: str) -> None:
    watched = canary()
    for start in range(len(KEY) - MINIMUM + 1):
        for before in range(3):
            part = b"\xaa" * before + KEY[start : start + MINIMUM] + b"\xbb"
            assert watched.find_in(b"some " + SPELLINGS[spelling](part) + b" more", "it")


def test_a_find_tells_where_and_not_what() -> None:
    (find,) = canary().find_in(b"12345" + KEY, "serial.log")
    assert str(find) == "a pre-shared key (raw) in serial.log at octet 5"


def test_nothing_by_chance() -> None:
    watched = canary()
    noise = random.Random(8).randbytes(1 << 20)
    for spelling in SPELLINGS.values():
        assert watched.find_in(spelling(noise[: 1 << 16]), "it") == []
    assert watched.find_in(noise, "it") == []
    assert watched.find_in(KEY[: MINIMUM - 8] * 100, "it") == []


def test_files_and_their_names(tmp_path: Path) -> None:
    watched = Canary()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "clean.txt").write_text("nothing here")
    assert watched.find_below(tmp_path) == []
    (tmp_path / "a" / "log.txt").write_text(f"key is {watched.text}.")
    (tmp_path / watched.text).write_text("")
    finds = watched.find_below(tmp_path)
    assert len(finds) == 2
    assert any(find.where.endswith("a/log.txt") and find.offset == 7 for find in finds)
    assert watched.text not in " ".join(map(str, finds))


def test_keys_of_single_tests_are_watched_too() -> None:
    watched = Canary()
    other = generate()
    assert watched.find_in(other.encode(), "it") == []
    watched.watch(other)
    watched.watch("short")
    assert watched.find_in(other.encode(), "it")
    assert watched.find_in(b"short", "it") == []


def test_a_canary_is_a_strong_key() -> None:
    assert psk.estimated_bits(generate(), ["secret", "password"]) > 128


def test_a_canary_is_taken_for_text(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = iter("0x" + "A" * 31 + "B" * 33)  # the first would be taken for hex
    monkeypatch.setattr("secrets.choice", lambda _: next(letters))
    assert Canary().text == "B" * 33
