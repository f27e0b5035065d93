"""`ikelet psk`: keys that the configuration's own check takes, in files that nobody else reads."""

import math
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ikelet import config, psk
from ikelet.cli_psk import psk as command
from ikelet.errors import MisuseError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, standalone_mode=False)


@pytest.mark.parametrize("form", psk.FORMS)
@pytest.mark.parametrize("bits", [128, 129, 256, 1024])
def test_strong_enough_in_every_format(form: str, bits: int) -> None:
    made = [run("--bits", str(bits), "--format", form).output.rstrip("\n") for _ in range(50)]
    assert len(set(made)) == len(made)
    for key in made:
        if form == "text":
            assert key.isascii() and key.isalnum() and psk.decoded(key) == key.encode()
            assert len(key) * math.log2(62) >= bits
        else:
            assert key[:2] == {"base64": "0s", "hex": "0x"}[form]
            assert len(psk.decoded(key)) == math.ceil(bits / 8)
        peer = {"hq": {"address": "10.9.0.1", "psk": key}}
        given = config.check({"device": {"name": "b"}, "peer": peer})
        assert given.warnings == []


def test_text_is_never_taken_for_hex_or_base64(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = iter("0s" + "A" * 41 + "0x" + "B" * 41 + "C" * 43)
    monkeypatch.setattr("secrets.choice", lambda _: next(letters))
    assert psk.generate(256, "text") == "C" * 43


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "hq.key"
    before = os.umask(0)
    try:
        assert run(str(file)).output == ""
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    first = file.read_text()
    peer = {"hq": {"address": "10.9.0.1", "psk_file": "hq.key"}}
    given = config.check({"device": {"name": "b"}, "peer": peer}, tmp_path)
    assert given.peers["hq"]["psk"] == first.rstrip("\n")
    assert given.warnings == []

    refused = run(str(file))
    assert isinstance(refused.exception, MisuseError)
    assert "--force" in str(refused.exception)
    assert file.read_text() == first
    assert run(str(file), "--force").exception is None
    assert file.read_text() != first
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("bits", ["0", "127", "2048"])
def test_bits_that_make_no_key(bits: str) -> None:
    assert isinstance(run("--bits", bits).exception, click.BadParameter)
