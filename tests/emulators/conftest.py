"""Boards for the tests of the emulators."""

import contextlib
from collections.abc import Iterator

import pytest

from ikelet import boards
from ikelet.emulators import rv32_firmware
from ikelet.emulators.rv32 import Rv32Board
from ikelet_hil.capabilities import missing, require


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds the firmware, where it is not cached, before any test's deadline runs."""
    if session.items and not missing("qemu-rv32"):
        with contextlib.suppress(rv32_firmware.FirmwareError):  # each test will say it again
            rv32_firmware.firmware()


@pytest.fixture
def board() -> Iterator[Rv32Board]:
    """A qemu-rv32 with empty flash, at its prompt."""
    require("qemu-rv32")
    with Rv32Board(boards.find("qemu-rv32")) as board:
        board.power_on()
        yield board
