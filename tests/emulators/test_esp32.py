"""The boards qemu-esp32 and qemu-esp32c3: what is missing where, and what they are told."""

import stat
from pathlib import Path

import pytest

from ikelet import boards
from ikelet.boards import Board
from ikelet.emulators import esp32, esp32_flash, esp32_machine

NAMES = ("qemu-esp32", "qemu-esp32c3")

each_name = pytest.mark.parametrize("name", NAMES)


def test_a_configuration_takes_its_place_in_flash() -> None:
    flash = b"\xff" * 4096 + esp32_flash.PLACE + b"\xff" * 4096
    done = esp32_flash.configured(flash, b'{"a": 1}')
    assert len(done) == len(flash)
    assert done[4096:8192].rstrip() == b'{"a": 1}'
    with pytest.raises(esp32_flash.FlashError, match="4097 bytes; 4096"):
        esp32_flash.configured(flash, b"x" * 4097)
    with pytest.raises(esp32_flash.FlashError, match="no place"):
        esp32_flash.configured(done, b"{}")


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
    assert "nic" not in fitted.on_board()


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
