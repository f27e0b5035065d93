"""The boards qemu-esp32 and qemu-esp32c3: what is missing where, and what they are told."""

import json
import stat
from pathlib import Path

import pytest

from ikelet import boards
from ikelet.boards import Board
from ikelet.emulators import esp32, esp32_flash, esp32_machine

NAMES = ("qemu-esp32", "qemu-esp32c3")

each_name = pytest.mark.parametrize("name", NAMES)


def test_a_configuration_takes_its_place_in_flash() -> None:
    flash = b"\xff" * 4096 + esp32_flash.place(8) + b"\xff" * 4096
    done = esp32_flash.configured(flash, b'{"a": 1}')
    assert done == b"\xff" * 4096 + b'{"a": 1}'.ljust(4096) + b"\xff" * 4096
    with pytest.raises(esp32_flash.FlashError, match="no place"):
        esp32_flash.configured(done, b"{}")


def test_a_configuration_of_many_blocks() -> None:
    """Between the blocks of a file are its file system's pointers, or whatever else."""
    config = json.dumps({"x": "y" * 12000}).encode()
    whole = esp32_flash.place(len(config))
    sizes = 4096, 4092, 4088
    assert len(whole) == sum(sizes)
    parts = [whole[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(3)]
    flash = b"2222" * 2 + parts[2] + b"1111" + parts[1] + b"between" + parts[0]
    done = esp32_flash.configured(flash, config)
    assert done[:8] == b"2" * 8 and len(done) == len(flash)
    first, second = done[-4096:], done[-4096 - 7 - 4092 : -4096 - 7]
    assert first + second + done[8 : 8 + 4088] == config.ljust(len(whole))
    with pytest.raises(esp32_flash.FlashError, match="30000 bytes; 24544 is the most"):
        esp32_flash.place(30000)


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something that lists the machines of an emulator, and has no NIC."""
    program = tmp_path / "qemu-system-xtensa"
    program.write_text("#!/bin/sh\necho 'Supported machines are:'\necho 'esp32 A made-up one'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("IKELET_QEMU_ESP32", str(program))
    monkeypatch.delenv("IKELET_ESP32_IMAGE", raising=False)
    return program


def test_without_a_radio_the_host_relays(emulator: Path) -> None:
    board = boards.find("qemu-esp32")
    assert esp32_machine.find(board).wifi == ""
    fitted = esp32.fitted(board)
    assert fitted.link == "uart"
    told = fitted.on_board()
    assert "nic" not in told and told["radio"] is False


def test_an_emulator_of_other_machines(emulator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = emulator.with_name("other")
    other.write_text("#!/bin/sh\necho 'Supported machines are:'\necho 'none An empty one'\n")
    other.chmod(emulator.stat().st_mode)
    monkeypatch.setenv("IKELET_QEMU_ESP32", str(other))
    assert f"{other} emulates no esp32" in boards.usable(boards.find("qemu-esp32"))


def test_an_emulator_without_an_image(emulator: Path) -> None:
    why = boards.usable(boards.find("qemu-esp32"))
    assert "IKELET_ESP32_IMAGE is not set" in why
    assert "micropython.org/download/ESP32_GENERIC" in why


@each_name
def test_neither(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    board: Board = boards.find(name)
    monkeypatch.setenv(board.tables["emulator"]["program_variable"], "/nowhere/qemu")
    assert "/nowhere/qemu is no program" in boards.usable(board)
