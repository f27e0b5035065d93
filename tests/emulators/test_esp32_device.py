"""The life of a device, by the commands that a user types, on an emulated ESP32: flashed in its
ROM's download mode, provisioned, up with its peer at each boot.

Nothing is a fake but the chip: stock MicroPython boots from the flash that esptool wrote.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ikelet import boards, build, flash
from ikelet.emulators import esp32, esp32_machine
from ikelet.emulators.esp32 import Esp32Board
from ikelet.image import Image
from ikelet.peers import PeerConfig, PeerResult
from ikelet.peers.builtin import BuiltinPeer
from ikelet_hil.bench import eventually
from ikelet_hil.capabilities import require

NAME = "esp32-generic"
SLOWNESS = 20.0  # of the emulator, on a busy host, beside a board
PSK = b"canary-q9Vd-2mXr7_LtZw4.Kc8"
OURS, THEIRS = "10.9.0.2", "10.9.0.1"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0), pytest.mark.xdist_group("esp32-device")]


class Device:
    """A board, somebody beside it who presses its buttons, and the commands."""

    def __init__(self, running: Esp32Board) -> None:
        self.running = running
        running.power_on(download=True)
        self.url = running.url

    @property
    def image(self) -> Image:
        return self.running.image

    def press(self, *, download: bool = False) -> None:
        """Switch it off and on, the boot button held or not."""
        self.running.power_off()
        self.running.power_on(main=not download, download=download)

    def ikelet(
        self, command: str, *arguments: str, on_line: Callable[[str], None] = lambda line: None
    ) -> tuple[int, str, str]:
        """(exit code, what it printed, its last word)."""
        line = [sys.executable, "-m", "ikelet", command, *arguments, "--port", self.url]
        with subprocess.Popen(
            line,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(sys.path), "IKELET_SLOWNESS": str(SLOWNESS)},
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            printed = []
            for text in process.stdout:
                printed.append(text)
                on_line(text)
            complaint = process.stderr.read().strip()
        return process.returncode, "".join(printed), complaint

    def flash(
        self, *arguments: str, pull: float = 101.0
    ) -> tuple[int, dict[str, Any], str, list[str]]:
        """`ikelet flash`: (exit code, its result, its last word, its steps). The board is reset
        when the command asks for it; `pull`: its cable is pulled at so many percent."""
        steps: list[str] = []

        def follow(line: str) -> None:
            event = json.loads(line)
            if event["event"] == "step":
                steps.append(event["text"])
                if event["text"].startswith("now reset the board"):
                    self.press()
            elif event["event"] == "progress" and event["percent"] >= pull:
                self.running.power_off()

        image = () if "--image" in arguments else ("--image", str(self.image.path))
        code, printed, complaint = self.ikelet(
            "flash", "--board", NAME, *image, *arguments, "--json", on_line=follow
        )
        return code, json.loads(printed.splitlines()[-1]), complaint, steps


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    """One whose chip has never been written to."""
    emulated = boards.find("qemu-esp32")
    require("qemu-esp32", esp32.usable(emulated))
    wifi = esp32_machine.find(emulated).wifi
    require("wifi", "" if wifi else "this emulator has no radio, and the board nothing else")
    with Esp32Board(emulated) as running:
        running.set_flash(b"\xff" * emulated.tables["flash"]["size"])
        yield Device(running)


@pytest.fixture(scope="module")
def hq() -> Iterator[BuiltinPeer]:
    """The head office's gateway."""
    with BuiltinPeer(PeerConfig("responder", psk=PSK, local_id=THEIRS, remote_id=OURS)) as peer:
        yield peer


def test_other_chip_on_the_port(device: Device, tmp_path: Path) -> None:
    content = bytearray(device.image.content)
    content[12:14] = b"\x05\x00"  # the ESP32-C3, whose images have their partition table later
    for_c3 = tmp_path / "ESP32_GENERIC_C3-made-up.bin"
    for_c3.write_bytes(b"%s%s" % (content[:0x1000], content))
    code, result, complaint, _ = device.flash("--image", str(for_c3), "--board", f"{NAME}-c3")
    assert code == 2
    assert "is ESP32, but esp32-generic-c3 has ESP32-C3" in result["reason"]
    assert complaint == f"ikelet: {result['reason']}"
    assert set(device.running.flash()) == {0xFF}


def test_cable_pulled_in_the_middle(device: Device) -> None:
    code, result, complaint, _ = device.flash(pull=4)
    assert code == 1
    assert result["reason"] == (
        f"the connection to {device.url} broke off: is the cable in? Just flash again"
    )
    assert complaint == f"ikelet: {result['reason']}"
    device.press(download=True)


def test_flashed_from_an_empty_chip(device: Device) -> None:
    code, result, complaint, _ = device.flash()
    assert code == 0, complaint
    assert result["wrote_image"]
    assert result["files"] == len(build.files(boards.find(NAME)))
    assert result["sha256"] == device.image.sha256
    assert result["agent"] == flash.agent_version()
    assert device.image.path.stem.endswith(f"-v{result['micropython']}")
    assert not result["provisioned"]
    written = device.running.flash()
    for address, part in device.image.code():
        assert written[address : address + len(part)] == part, hex(address)


def test_flashed_again_only_what_differs(device: Device) -> None:
    """The image is there; of the agent's files one has another content."""
    device.running.power_off()
    content = device.running.flash()
    start = build.files(boards.find(NAME))["agent/schema.json"][:1000]
    assert content.count(start) == 1
    device.running.set_flash(content.replace(start, start.swapcase()))
    device.running.power_on(download=True)
    code, result, complaint, steps = device.flash()
    assert code == 0, complaint
    assert not result["wrote_image"]
    assert "it is there already" in steps
    assert result["files"] == 2, "that one, and main.py, which comes last"
    assert device.running.flash().count(start) == 1


def test_provisioned_it_comes_up_at_each_boot(
    device: Device, hq: BuiltinPeer, tmp_path: Path
) -> None:
    configuration = tmp_path / "branch-17.toml"
    configuration.write_text(
        f"""
        [device]
        name = "branch-17"
        [network]
        bind = "0.0.0.0"
        ssid = "{esp32.SSID}"
        [peer.hq]
        address = "{esp32.HOST}"
        port = {hq.address[1]}
        psk = "{PSK.decode()}"
        role = "initiator"
        local_id = "{OURS}"
        remote_id = "{THEIRS}"
        proposals = ["aes256-sha256-modp2048"]
        """
    )
    code, printed, complaint = device.ikelet("provision", str(configuration))
    assert code == 0, complaint
    assert printed.endswith("branch-17 runs with its new configuration\n")
    assert "is not encrypted: whoever holds the board can read its keys" in complaint
    first = nth(hq, 1)
    assert PSK in device.running.flash(), "what the warning is about"

    code, printed, complaint = device.ikelet("status", "--json")
    assert code == 0, complaint
    status = json.loads(printed)
    (peer,) = status["peers"]
    assert peer["state"] == "ESTABLISHED"
    assert peer["cookies"]["initiator"] == first.initiator_cookie
    assert (status["device"], status["mode"]) == ("branch-17", "production")
    assert status["flash_encrypted"] is False
    assert set(status["engines"]["modexp"]) == {"mpi"}
    assert set(status["engines"]["aes_cbc"]) == set(status["engines"]["hash"]) == {"mbed"}

    code, printed, complaint = device.ikelet("selftest")
    assert code == 0, complaint
    assert json.loads(printed)["modexp/2048"] == {"mpi": "ok", "software": "ok"}

    code, printed, complaint = device.ikelet("reset")
    assert code == 0, complaint
    event = json.loads(printed)
    assert (event["event"], event["device"]) == ("boot", "branch-17")
    assert nth(hq, 2).initiator_cookie != first.initiator_cookie


def nth(hq: BuiltinPeer, count: int) -> PeerResult:
    """Phase 1 as the gateway has it, of its count-th exchange."""
    assert eventually(lambda: len(hq.results) >= count, 60 * SLOWNESS)
    result = hq.results[count - 1]
    assert result.established, result.reason
    return result
