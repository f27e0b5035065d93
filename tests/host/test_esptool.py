"""esptool as a subprocess: what it is told, and what its failures are told as."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ikelet import boards, esptool
from ikelet.boards import Board
from ikelet.esptool import Esptool, EsptoolError, WrongChipError

FAKE = Path(__file__).parent / "fake_esptool.py"
PARTS = [(0x1000, b"bootloader"), (0x8000, b"table")]


class Chip:
    """The fake's chip."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "flash.bin").write_bytes(b"\xff" * 0x200000)
        self.be("esp32")

    def be(self, name: str) -> None:
        (self.folder / "chip").write_text(name)

    def fail(self, command: str, text: str) -> None:
        """The next `command` begins, says `text` and fails."""
        (self.folder / "fail").write_text(f"{command}:{text}")

    def at(self, address: int, size: int) -> bytes:
        return (self.folder / "flash.bin").read_bytes()[address : address + size]

    @property
    def calls(self) -> list[list[str]]:
        """The commands so far, without the temporary files' names."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [[w for w in json.loads(line) if not w.endswith(".bin")] for line in lines]


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chip:
    folder = tmp_path / "chip"
    folder.mkdir()
    monkeypatch.setenv("FAKE_FLASH", str(folder))
    monkeypatch.setenv(esptool.VARIABLE, f"{sys.executable} {FAKE}")
    return Chip(folder)


@pytest.fixture
def board() -> Board:
    return boards.find("esp32-generic")


def test_write_and_verify(chip: Chip, board: Board) -> None:
    tool = Esptool(board, "/dev/ttyUSB7")
    assert not tool.holds(PARTS)
    told: list[float] = []
    tool.write(PARTS, erase_all=True, progress=told.append)
    assert tool.holds(PARTS)
    assert told == [50.0, 100.0, 50.0, 100.0]
    assert chip.at(0x1000, 10) == b"bootloader"
    assert chip.calls[1] == [
        *("--chip", "esp32", "--port", "/dev/ttyUSB7", "--baud", "460800"),
        *("--before", "default-reset", "--after", "hard-reset"),
        *("write-flash", "--erase-all", "0x1000", "0x8000"),
    ]


def test_by_hand_where_nothing_resets_the_chip(chip: Chip) -> None:
    for board, url in (("esp32-generic", "socket://h:1"), ("wt32-eth01", "/dev/ttyUSB7")):
        tool = Esptool(boards.find(board), url)
        tool.write(PARTS, erase_all=False, progress=lambda _: None)
        assert chip.calls[-1][6:10] == ["--before", "no-reset", "--after", "no-reset"]
        count = len(chip.calls)
        tool.leave()
        assert len(chip.calls) == count


def test_other_chip(chip: Chip, board: Board) -> None:
    chip.be("esp32c3")
    with pytest.raises(WrongChipError) as caught:
        Esptool(board, "/dev/ttyUSB7").holds(PARTS)
    assert str(caught.value) == (
        "the chip at /dev/ttyUSB7 is ESP32-C3, but esp32-generic has ESP32"
    )


def test_garbled_lines_are_tried_again_slowly(chip: Chip, board: Board) -> None:
    chip.fail(
        "write-flash",
        "A fatal error occurred: Failed to write to target RAM (result was 0107: Checksum error)",
    )
    Esptool(board, "/dev/ttyUSB7").write(PARTS, erase_all=False, progress=lambda _: None)
    assert [call[5] for call in chip.calls] == ["460800", "115200"]
    assert chip.at(0x8000, 5) == b"table"


# What esptool 5 and pyserial say on Linux, macOS and Windows.
FAILURES = {
    "A fatal error occurred: Could not open P, the port is busy or doesn't exist.\n"
    "([Errno 13] could not open port P: [Errno 13] Permission denied: 'P')": "no permission",
    "A fatal error occurred: Could not open P, the port is busy or doesn't exist.\n"
    "(could not open port 'P': PermissionError(13, 'Access is denied.', None, 5))": "in use by",
    "A fatal error occurred: Could not open P, the port is busy or doesn't exist.\n"
    "([Errno 16] could not open port P: [Errno 16] Resource busy: 'P')": "in use by",
    "A fatal error occurred: Could not open P, the port is busy or doesn't exist.\n"
    "([Errno 2] could not open port P: [Errno 2] No such file or directory: 'P')": "no port P",
    "A fatal error occurred: Could not open P, the port is busy or doesn't exist.\n"
    "(could not open port 'P': FileNotFoundError(2, 'The system cannot find the file "
    "specified.', None, 2))": "no port P",
    "A fatal error occurred: Failed to connect to ESP32: No serial data received.\n"
    "For troubleshooting steps visit: https://x": "no chip answers at P",
    "A serial exception error occurred: device reports readiness to read but returned no data "
    "(device disconnected or multiple access on port?)\nNote: This error originates from pySerial."
    "": "the connection to P broke off",
    "A serial exception error occurred: write failed: [Errno 5] Input/output error"
    "": "the connection to P broke off",
    "A serial exception error occurred: ClearCommError failed (PermissionError(13, 'The device "
    "does not recognize the command.', None, 22))": "the connection to P broke off",
    "\nA fatal error occurred: The chip stopped responding.": "the connection to P broke off",
    "A fatal error occurred: Serial data stream stopped: Possible serial noise or corruption."
    "": "the connection to P broke off",
    "A fatal error occurred: Flash is on fire": "esptool failed at P: A fatal error occurred: "
    "Flash is on fire",
    "No module named esptool": "pip install",
}


@pytest.mark.parametrize("said", FAILURES)
def test_failures_are_one_line(chip: Chip, board: Board, said: str) -> None:
    tool = Esptool(board, "P")
    error = tool._reason(said)
    assert FAILURES[said] in str(error)
    assert "\n" not in str(error)


def test_cable_pulled_in_the_middle(chip: Chip, board: Board) -> None:
    tool = Esptool(board, "/dev/ttyUSB7")
    chip.fail("write-flash", "write failed: [Errno 5] Input/output error")
    with pytest.raises(EsptoolError, match=r"broke off.*Just flash again"):
        tool.write(PARTS, erase_all=True, progress=lambda _: None)
    tool.write(PARTS, erase_all=True, progress=lambda _: None)
    assert tool.holds(PARTS)


def test_no_esptool(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(esptool.VARIABLE, "/nowhere/esptool")
    with pytest.raises(boards.MisuseError, match=r"cannot run /nowhere/esptool.*IKELET_ESPTOOL"):
        Esptool(board, "/dev/ttyUSB7").holds(PARTS)


def test_the_real_one_understands() -> None:
    """Every option and command that is used, as esptool's own help has them."""
    help_text = ""
    for arguments in (["--help"], ["write-flash", "--help"]):
        help_text += subprocess.run(
            [sys.executable, "-m", "esptool", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    for word in ("write-flash", "verify-flash", "run", "--erase-all", "no-reset", "hard-reset"):
        assert word in help_text, word
    for word in ("--chip", "--port", "--baud", "--before", "--after", "default"):
        assert word in help_text, word
