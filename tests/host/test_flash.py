"""`ikelet flash`, from an empty chip to an agent that answers.

esptool is a fake that writes to a file; behind the port is bare-metal MicroPython on qemu-rv32,
whose prompt and file system are those of a real board.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ikelet import boards, chips, esptool, flash, image, prompt
from ikelet.boards import Board
from ikelet.chips import Chip
from ikelet.device import DeviceError
from ikelet.emulators.rv32 import Rv32Board
from ikelet.errors import IkeletError
from ikelet.flash import Flashed
from ikelet_hil.capabilities import require
from said import Said

FAKE = Path(__file__).parent / "fake_esptool.py"
CHIP = Chip("virt", "a made-up chip", 77, 0x1000, 32)
BOOTLOADER = b"\xe9\x03\x02\x20" + bytes(8) + b"\x4d\x00"
TABLE = b"\xaa\x50\x00\x00" + (0x10000).to_bytes(4, "little") + (0x10000).to_bytes(4, "little")

pytestmark = pytest.mark.xdist_group("flash")


# (the fake chip's content, the board's files) after a first flash().
_before: list[tuple[bytes, bytes]] = []


class Bench:
    """A board on a port, an image for it, and a fake chip under esptool."""

    def __init__(self, folder: Path, running: Rv32Board, board: Board) -> None:
        self.folder = folder
        self.running = running
        self.board = board
        self.said = Said()
        (folder / "flash.bin").write_bytes(b"\xff" * 0x20000)
        (folder / "chip").write_text(CHIP.name)
        self.image = folder / "MADE_UP-v1.bin"
        self.make_image(b"MicroPython")

    def make_image(self, application: bytes) -> None:
        content = bytearray(b"\xff" * 0xF000)
        content[: len(BOOTLOADER)] = BOOTLOADER
        content[0x7000 : 0x7000 + len(TABLE)] = TABLE
        self.image.write_bytes(content + application)

    def flashed_before(self) -> None:
        """As after flash(), which is done once for all tests of this process."""
        if not _before:
            self.flash()
            _before.append((self.chip_content(), self.running.flash()))
            return
        (self.folder / "flash.bin").write_bytes(_before[0][0])
        self.running.power_off()
        self.running.set_flash(_before[0][1])
        self.running.power_on(main=True)

    def flash(self, *, erase: bool = False) -> Flashed:
        self.said = Said()
        return flash.run(self.board, self.running.url, str(self.image), erase, self.said)

    def chip_content(self) -> bytes:
        return (self.folder / "flash.bin").read_bytes()

    def spoil_chip(self, address: int, content: bytes) -> None:
        changed = bytearray(self.chip_content())
        changed[address : address + len(content)] = content
        (self.folder / "flash.bin").write_bytes(changed)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    require("qemu-rv32")
    real = boards.find("qemu-rv32")
    monkeypatch.setitem(chips.CHIPS, CHIP.name, CHIP)
    monkeypatch.setenv("FAKE_FLASH", str(tmp_path))
    monkeypatch.setenv(esptool.VARIABLE, f"{sys.executable} {FAKE}")
    # A socket has flow control: longer lines, and so less time.
    monkeypatch.setattr(prompt, "_LINE", 1536)
    monkeypatch.setattr(prompt, "_PIECE", 4096)
    monkeypatch.setattr(prompt, "_SILENT", 1.0)
    tables = {
        "flash": {"offset": 0x1000, "size": 0x20000, "image": "MADE_UP-*.bin"},
        "reset": {"method": "manual"},
    }
    with Rv32Board(real) as running:
        running.power_on()
        board = dataclasses.replace(real, kind="serial", tables=tables)
        yield Bench(tmp_path, running, board)


def test_from_an_empty_chip(bench: Bench) -> None:
    done = bench.flash()
    assert (done.wrote_image, done.provisioned) == (True, False)
    assert done.files > 20
    assert done.micropython.startswith("1.")
    assert done.agent == flash.agent_version()
    assert bench.chip_content()[0x10000 : 0x10000 + 11] == b"MicroPython"
    assert bench.said.percents[-1] == 100
    assert bench.said.warnings == []


def test_nothing_twice(bench: Bench) -> None:
    bench.flashed_before()
    done = bench.flash()
    assert (done.wrote_image, done.files) == (False, 0)
    assert bench.said.percents == []


def test_only_the_files_that_differ(bench: Bench) -> None:
    bench.flashed_before()
    with prompt.prompt(bench.board, bench.running.url) as repl:
        repl.run("f = open('/agent/clock.mpy', 'wb'); f.write(b'old'); f.close()\n")
        for package in prompt._PACKAGES:
            repl.run(f"f = open('/{package}/gone.mpy', 'wb'); f.write(b'old'); f.close()\n")
        repl.run("f = open('/kept.txt', 'wb'); f.write(b'mine'); f.close()\n")
    done = bench.flash()
    assert done.files == 2, "the one that differs, and main.py, which comes last"
    with prompt.prompt(bench.board, bench.running.url) as repl:
        there = repl.files()
    assert [path for path in there if "gone" in path] == []
    assert {path.split("/")[1] for path in there if path.count("/") > 1} == set(prompt._PACKAGES)
    assert "/kept.txt" in there


def test_other_micropython_keeps_the_boards_data(bench: Bench) -> None:
    bench.flashed_before()
    bench.spoil_chip(0x9000, b"provisioned keys")
    bench.make_image(b"MicroPython, the next")
    done = bench.flash()
    assert done.wrote_image
    assert bench.chip_content()[0x10000 : 0x10000 + 21] == b"MicroPython, the next"
    assert bench.chip_content()[0x9000 : 0x9000 + 16] == b"provisioned keys"


def test_erase_leaves_nothing(bench: Bench) -> None:
    bench.flashed_before()
    bench.spoil_chip(0x9000, b"provisioned keys")
    assert bench.flash(erase=True).wrote_image
    assert b"provisioned keys" not in bench.chip_content()


def test_other_layout_is_erased(bench: Bench) -> None:
    """Data at another place would be read as what it is not."""
    bench.flashed_before()
    bench.spoil_chip(0x8000, bytes(32))
    bench.spoil_chip(0x9000, b"another's data")
    assert bench.flash().wrote_image
    assert b"another's data" not in bench.chip_content()


def test_cable_pulled_then_flashed_again(bench: Bench) -> None:
    (bench.folder / "fail").write_text("write-flash:write failed: [Errno 5] Input/output error")
    with pytest.raises(IkeletError, match="broke off"):
        bench.flash()
    assert bench.flash().wrote_image


def test_cable_pulled_among_the_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until main.py is there, the board boots to its prompt."""
    real_install = prompt.install
    seen = []

    def pull(path: str, now: int, total: int) -> None:
        seen.append(path)
        if now > total // 3:
            raise KeyboardInterrupt

    def interrupted(repl: object, files: dict[str, bytes], _: Callable[..., None]) -> int:
        return real_install(repl, files, pull)  # type: ignore[arg-type]

    monkeypatch.setattr(prompt, "install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.flash()
    assert "/main.py" not in seen
    monkeypatch.setattr(prompt, "install", real_install)
    bench.running.reset()
    assert bench.flash().agent == flash.agent_version()


def test_other_abi(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "_abi", lambda files: 5)
    with pytest.raises(DeviceError, match=r"loads \.mpy version 6, but mpy-cross here makes .* 5"):
        bench.flash()


def test_old_micropython(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "_FIRST_VERSION", (9, 1))
    with pytest.raises(DeviceError, match=r"runs micropython 1\..* needs MicroPython 9\.1"):
        bench.flash()


def test_other_agent_than_was_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.flashed_before()
    monkeypatch.setattr(flash, "agent_version", lambda: "99.0")
    with pytest.raises(flash.FlashError, match=r"not 99\.0 on qemu-rv32: flash again"):
        bench.flash()


def test_other_chip_on_the_port(bench: Bench) -> None:
    (bench.folder / "chip").write_text("esp32c3")
    with pytest.raises(esptool.WrongChipError, match="is ESP32-C3"):
        bench.flash()
    assert set(bench.chip_content()) == {0xFF}


def test_image_for_another_chip(bench: Bench) -> None:
    content = bytearray(bench.image.read_bytes())
    content[12] = 0
    bench.image.write_bytes(content)
    with pytest.raises(image.ImageError, match="is for ESP32, but qemu-rv32 has a made-up chip"):
        bench.flash()
    assert not (bench.folder / "calls").exists()


def test_emulated_boards_are_not_flashed() -> None:
    unix: Board = boards.find("unix")
    with pytest.raises(IkeletError, match="unix is emulated"):
        flash.run(unix, "/dev/ttyUSB0", None, False, Said())
