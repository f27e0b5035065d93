"""bench.toml: what it may say, what is refused, and what `boards --scan` adds to it."""

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from ikelet import benchfile, boards, esptool, rehearsal, scan
from ikelet.benchfile import BenchError
from ikelet.device import Device
from ikelet_hil import power, targets
from ikelet_hil.capabilities import require
from ikelet_hil.power import PowerError

GOOD = """
# Mine.
[network]
host = "192.168.7.1"
ssid = "bench"
wifi_key_file = "wifi.key"

[board.desk]   # the one with the long cable
type = "olimex-esp32-poe"
usb = "A50285BI"

[board.desk.power]
kind = "uhubctl"
hub = "1-1"
port = 2

[board.far]
type = "esp32-generic-c3"
mac = "34:85:18:AA:BB:CC"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "wifi.key").write_text("open sesame\n")
    found = tmp_path / "bench.toml"
    found.write_text(GOOD)
    return found


def test_what_it_says(path: Path) -> None:
    bench = benchfile.load(path)
    desk, far = bench.entries["desk"], bench.entries["far"]
    assert desk.network == {
        "host": "192.168.7.1",
        "ssid": "bench",
        "wifi_key": "open sesame",
    }
    assert (desk.identity, far.identity) == ("usb:A50285BI", "mac:348518aabbcc")
    assert bench.find("mac", "348518-aabbcc") is far
    assert bench.find("usb", "A50285BX") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('usb = "A50', 'ubs = "A50'), r"board\.desk\.ubs is unknown; did you mean usb\?"),
        (('usb = "A50285BI"', ""), "board.desk has nothing to find it by"),
        (("olimex-esp32-poe", "olimex-poe"), "board.desk.type is .*did you mean olimex-esp32-poe"),
        (('"uhubctl"', '"uhub"'), r'power\.kind is "uhub"; it is one of uhubctl, command, relay'),
        (("port = 2", "port = true"), r"board\.desk\.power\.port is true; it is 1 to 32"),
        (('hub = "1-1"', ""), r"board\.desk\.power\.hub is missing; it is the hub's location"),
        (("34:85:18:AA:BB:CC", "34:85"), r'board\.far\.mac is "34:85"; it is a MAC address'),
        (('mac = "34:85:18:AA:BB:CC"', 'usb = "A50285BI"'), "far.usb is that of desk too"),
        (("[network]", "[net]"), "net is unknown"),
        (("wifi.key", "no.key"), "wifi_key_file: no.key: No such file"),
        (('= "bench"', "="), "Invalid value"),
    ],
)
def test_what_is_refused(path: Path, change: tuple[str, str], said: str) -> None:
    path.write_text(GOOD.replace(*change))
    with pytest.raises(BenchError, match=said) as found:
        benchfile.load(path)
    assert str(path) in str(found.value)


def test_which_boards_are_meant(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = benchfile.load(path)
    names = ["desk", "serial:A50285BI", "esp32-generic-c3", "serial:348518aabbcc", "unix"]
    found = targets.resolve([*names, "unix"], bench)
    assert [target.name for target in found] == names
    types = [target.board.name for target in found if target.board]
    assert types == ["olimex-esp32-poe"] * 2 + ["esp32-generic-c3"] * 2 + ["unix"]
    monkeypatch.setattr(list_ports, "comports", lambda: [_port("/dev/ttyUSB3", "A50285BI")])
    assert [target.name for target in targets.resolve(["auto"], bench)] == ["desk"]
    monkeypatch.setattr(list_ports, "comports", list)
    with pytest.raises(targets.MisuseError, match=r"no board of .*bench.toml is plugged in"):
        targets.resolve(["auto"], bench)
    with pytest.raises(boards.BoardError, match=r"bench\.toml has desk, far"):
        targets.resolve(["dekk"], bench)


NO_HUB = '{ echo "No compatible devices detected at location $2!" >&2; exit 1; }'


def test_power_by_a_command(tmp_path: Path) -> None:
    switch = power.make({"kind": "command", "on": f"touch {tmp_path}/on", "off": "echo no; false"})
    assert switch is not None
    switch.set(True)
    assert (tmp_path / "on").exists()
    with pytest.raises(PowerError, match="echo no; false: no"):
        switch.set(False)


def test_power_by_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for uhubctl that keeps its arguments, and fails as the program does."""
    stand_in = tmp_path / "uhubctl"
    stand_in.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n[ "$2" = 1-1 ] || {NO_HUB}\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(power, "OFF", 0.0)
    hub = power.make({"kind": "uhubctl", "hub": "1-1", "port": 2})
    assert hub is not None
    power.cycle(hub)
    assert (tmp_path / "asked").read_text() == "-l 1-1 -p 2 -a off\n-l 1-1 -p 2 -a on\n"
    absent = power.make({"kind": "uhubctl", "hub": "2-7", "port": 1})
    assert absent is not None
    with pytest.raises(PowerError, match="-a off: No compatible devices detected at location 2-7"):
        absent.set(False)
    stand_in.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PowerError, match=r"uhubctl -l 1-1 -p 2 -a on: .*No such file"):
        hub.set(True)


# -- the scan -------------------------------------------------------------------------------------


def _port(device: str, serial: str, location: str = "1-1.4") -> ListPortInfo:
    port = ListPortInfo(device, skip_link_detection=True)
    port.vid, port.serial_number, port.location = 0x10C4, serial, location
    return port


@pytest.fixture
def running() -> Iterator[Device]:
    """An agent behind a serial port."""
    require("micropython")
    with rehearsal.blank(boards.find("unix")) as device:
        device.console.close()
        yield device


def test_a_scan_adds_what_is_new_and_leaves_the_rest(
    path: Path, running: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "esptool.py"
    fake.write_text(
        "import sys\nprint('Connected to ESP32-C3 on x')\nsys.exit('silent' in sys.argv[2])\n"
    )
    monkeypatch.setenv(esptool.VARIABLE, f"{sys.executable} {fake}")
    monkeypatch.setattr(scan, "_ANSWER", 30.0)
    plugged = [
        _port("/dev/ttyUSB3", "A50285BI"),
        _port(running.url, "0001", "1-1.7"),
        _port("/dev/nowhere", "D30A1B"),
        _port("/dev/silent", "D30A1C"),
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: plugged)
    found = {one.port: one for one in scan.scan(path, lambda _: None)}
    assert found["/dev/ttyUSB3"].known
    assert (found[running.url].type, found[running.url].way) == ("unix", "location")
    assert found["/dev/nowhere"].type == "esp32-generic-c3"
    assert found["/dev/silent"].type == ""
    assert "no chip of the ESP32 family answers" in found["/dev/silent"].note
    text = path.read_text()
    assert text.startswith(GOOD)
    entries = benchfile.load(path).entries
    assert sorted(entries) == ["desk", "esp32-generic-c3", "far", "unix"]
    assert dataclasses.astuple(entries["unix"])[:5] == ("unix", "unix", "", "", "1-1.7")
    assert entries["esp32-generic-c3"].usb == "D30A1B"
    assert "by its chip" in text
    scan.scan(path, lambda _: None)
    assert path.read_text() == text


def test_a_scan_makes_the_file(
    tmp_path: Path, running: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_ports, "comports", lambda: [_port(running.url, "A1")])
    monkeypatch.setattr(scan, "_ANSWER", 30.0)
    path = tmp_path / "bench.toml"
    scan.scan(path, lambda _: None)
    assert benchfile.load(path).entries["unix"].usb == "A1"
    assert path.read_text().startswith("# The boards that are plugged in here")
