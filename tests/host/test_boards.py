"""Board files: the project's own are right, and a wrong one is refused with the key named."""

from pathlib import Path

import pytest

from ikelet import boards, resources

GOOD = (resources.boards() / "unix.toml").read_text()


@pytest.mark.parametrize("path", sorted(resources.boards().glob("*.toml")), ids=lambda p: p.stem)
def test_files_of_the_project(path: Path) -> None:
    board = boards.load(path)
    assert board.name == path.stem
    assert (resources.firmware() / "agent" / f"port_{board.port}.py").is_file()
    assert boards.runner(board).usable is not None
    assert board.engines[-1] == "software", "software is what every board falls back to"
    told = board.on_board()
    assert {"name", "chip", "port", "link", "engines"} <= set(told)
    assert set(told) <= set(vars(board)) | {"nic"}
    if board.kind == "serial":
        assert told["autostart"] is True
        assert type(told["strap"]) is int
        assert told["nic"]["kind"] in ("lan", "wlan")
        assert told["watchdog_ms"] >= 60_000


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('kind = "process"', 'kind = "toy"', ["board.kind", '"toy"', "process, qemu, serial"]),
        ('name = "unix"', 'name = "other"', ["board.name", '"other"', '"unix"']),
        ("heap = 262144", "heap = true", ["board.heap", "true", "bytes"]),
        ("heap = 262144", "", ["board.heap is missing"]),
        ("heap = 262144", "heap = 1\nslowness = 0.5", ["board.slowness", "1.0 or more"]),
        ("heap = 262144", "heap = 1\ncolour = 1", ["board.colour is unknown"]),
        ('["mbed", "software"]', '["magic"]', ["board.engines", "mpi, mbed, software"]),
        ('["mbed", "software"]', "[]", ["board.engines"]),
        ("[board]", "[radio]\n[board]", ["[radio] is unknown", "[emulator]"]),
        ("[board]", "[board", ["unix.toml"]),
    ],
)
def test_wrong_file(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    path = tmp_path / "unix.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(boards.BoardError) as caught:
        boards.load(path)
    assert [word for word in [str(path), *words] if word not in str(caught.value)] == []


POE = (resources.boards() / "olimex-esp32-poe.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('chip = "esp32"', 'chip = "esp33"', ["board.chip", '"esp33"', "esp32c3"]),
        ('chip = "esp32"', 'chip = "esp32s3"', ["flash.offset is 4096"]),
        ("offset = 0x1000", "offset = 0x0", ["flash.offset is 0", "the chip's ROM"]),
        ("offset = 0x1000\n", "", ["flash.offset is missing"]),
        ("size = 0x400000", "size = 4", ["flash.size is 4", "1048576 to"]),
        ('image = "ESP32_GENERIC-*.bin"\n', "", ["flash.image is missing"]),
        ("[flash]\n", "[flash]\nspeed = 9\n", ["flash.speed is unknown", "baud"]),
        ("[flash]\n", "[flash]\nbaud = 10\n", ["flash.baud is 10", "9600"]),
        ('sha256 = "5e', 'sha256 = "5', ["flash.images", "64 hex digits"]),
        ("strap = 0", "strap = 40", ["board.strap is 40", "GPIO"]),
        ("strap = 0", "strap = true", ["board.strap is true"]),
        ("watchdog_ms = 120000", "watchdog_ms = 20", ["board.watchdog_ms is 20", "10000"]),
        ("autostart = true", "radio = false", ["board.radio is false", "random numbers"]),
        ("autostart = true", "autostart = 1", ["board.autostart is 1", "true or false"]),
        ('kind = "lan"', 'kind = "ppp"', ["nic.kind", '"ppp"', "lan, wlan"]),
        ('kind = "lan"', 'kind = "wlan"', ["nic.phy_type has no place"]),
        ('"PHY_LAN8720"', '"PHY_X"', ["nic.phy_type", "PHY_LAN8720", "PHY_W5500"]),
        ('"PHY_LAN8720"', '"PHY_W5500"', ["nic.spi is missing"]),
        ("phy_addr = 0", "phy_addr = 32", ["nic.phy_addr is 32", "0 to 31"]),
        ("phy_addr = 0\n", "", ["nic.phy_addr is missing"]),
        ("mdc = 23\n", "", ["nic.mdc is missing"]),
        ("mdc = 23", "mdc = 77", ["nic.mdc is 77"]),
        ("mdc = 23", "mdc = 18", ["GPIO 18", "nic.mdc", "nic.mdio"]),
        ("mdc = 23", 'mdc = "23"', ['nic.mdc is "23"']),
        ('ref_clk_mode = "OUT"', 'ref_clk_mode = "IO"', ["nic.ref_clk_mode", "IN, OUT"]),
        ('method = "dtr-rts"', 'method = "kick"', ["reset.method", "dtr-rts, usb, manual"]),
        ('[reset]\nmethod = "dtr-rts"\n', "", ["[reset] is missing"]),
    ],
)
def test_wrong_file_of_a_real_board(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    path = tmp_path / "olimex-esp32-poe.toml"
    assert old in POE
    path.write_text(POE.replace(old, new, 1))
    with pytest.raises(boards.BoardError) as caught:
        boards.load(path)
    assert [word for word in [str(path), *words] if word not in str(caught.value)] == []


def test_ethernet_pins_of_a_chip_without_ethernet(tmp_path: Path) -> None:
    path = tmp_path / "esp32-generic-c3.toml"
    lan = 'kind = "lan"\nphy_type = "PHY_LAN8720"\nphy_addr = 0\nmdc = 1\nmdio = 2'
    good = (resources.boards() / path.name).read_text()
    path.write_text(good.replace('kind = "wlan"', lan))
    with pytest.raises(boards.BoardError, match="this chip has no Ethernet: use PHY_W5500"):
        boards.load(path)


def test_a_pin_of_spi_twice(tmp_path: Path) -> None:
    path = tmp_path / "waveshare-esp32-s3-eth.toml"
    good = (resources.boards() / path.name).read_text()
    path.write_text(good.replace("miso = 12", "miso = 14"))
    with pytest.raises(boards.BoardError, match=r"nic\.miso is GPIO 14, which is also nic\.cs"):
        boards.load(path)


def test_a_real_board_has_an_esp32(tmp_path: Path) -> None:
    path = tmp_path / "olimex-esp32-poe.toml"
    path.write_text(
        POE.split("[nic]")[0].replace('"esp32"', '"unix"').replace("strap = 0", "")
        + ('[reset]\nmethod = "dtr-rts"\n')
    )
    with pytest.raises(boards.BoardError, match="one of the ESP32s"):
        boards.load(path)


@pytest.mark.parametrize("name", ["ESP32_GENERIC_C3", "esp32-generic-c3", "Esp32_Generic-C3"])
def test_names_as_micropython_has_them(name: str) -> None:
    assert boards.find(name).name == "esp32-generic-c3"


def test_gpio_0_is_told_to_the_board() -> None:
    assert boards.find("esp32-generic").on_board()["strap"] == 0


def test_unknown_board() -> None:
    with pytest.raises(boards.BoardError, match='no board is called "unxi"; did you mean unix'):
        boards.find("unxi")
    with pytest.raises(boards.BoardError, match=r"there are: .*unix"):
        boards.find("../pyproject")
