"""`ikelet provision` end to end: the board restarts with what it was given, or says why not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ikelet import boards, build, demo, provision, rehearsal
from ikelet import config as host_config
from ikelet.console import ConsoleError
from ikelet.device import Device, send_configuration
from ikelet.errors import MisuseError
from ikelet.provision import ProvisionError
from ikelet.unixboard import UnixBoard
from ikelet_hil.capabilities import require
from said import Said

CANARY = "canary-q9Vd-2mXr7_LtZw4.Kc8"
WIFI = "canary-wifi-8vKw"


def configuration(name: str, **peer: Any) -> host_config.Config:
    return host_config.check(
        {
            "device": {"name": name, "development": True},
            "network": {
                "bind": "127.0.0.1",
                "port": demo.free_port(),
                "ssid": "branch",
                "wifi_key": WIFI,
            },
            "peer": {
                "hq": {"address": "127.0.0.9", "psk": CANARY, "role": "responder"} | peer,
                "second": {"address": "127.0.0.8", "psk": CANARY, "role": "responder"},
            },
        }
    )


@pytest.fixture(params=["unix", "qemu-rv32"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    require({"unix": "micropython"}.get(request.param, request.param))
    with rehearsal.blank(boards.find(request.param)) as there:
        yield there


def test_from_nothing_to_running_and_again(device: Device) -> None:
    assert device.status["code"] == "not-provisioned"
    board = boards.find(device.status["board"])
    said = Said()
    event = provision.run(device, configuration("first"), board, said)
    assert (event["event"], event["device"]) == ("boot", "first")
    assert device.call("status")["device"] == "first"
    assert len(said.warnings) == 1
    assert "whether the flash of this board is encrypted" in said.warnings[0]

    shown = json.dumps(device.call("config.get"))
    assert CANARY not in shown
    assert WIFI not in shown
    assert json.loads(shown)["network"]["wifi_key"] == "(set)"
    assert json.loads(shown)["peer"]["hq"]["psk"] == "(set)"

    event = provision.run(device, configuration("second"), None, Said())
    assert event["device"] == "second"


def test_refused_on_the_board_too(device: Device) -> None:
    provision.run(device, configuration("first"), None, Said())
    bad = configuration("bad")
    bad.board["peer"]["hq"]["port"] = 0
    with pytest.raises(ProvisionError, match=r"refused.*peer\.hq\.port: 0") as got:
        provision.run(device, bad, None, Said())
    assert CANARY not in str(got.value)
    assert device.restart()["device"] == "first"


def test_configuration_that_cannot_run(device: Device) -> None:
    """It is the board's now, and the board says what is wrong with it."""
    bad = configuration("bad")
    bad.board["network"]["bind"] = "0.0.0.0"
    for peer in bad.board["peer"].values():
        del peer["local_id"]
    with pytest.raises(ProvisionError, match=r"cannot run: peer\..*local_id") as caught:
        provision.run(device, bad, None, Said())
    assert caught.value.code == "bad-configuration"
    assert provision.run(device, configuration("good"), None, Said())["device"] == "good"


def test_other_board(device: Device) -> None:
    with pytest.raises(MisuseError, match="not esp32-generic"):
        provision.run(device, configuration("x"), boards.find("esp32-generic"), Said())


class Lossy:
    """A Device whose `lost`-th piece never gets an answer, or never arrives."""

    def __init__(self, device: Device, lost: int, arrives: bool) -> None:
        self.device = device
        self.left = lost
        self.arrives = arrives

    def call(self, method: str, params: dict[str, Any] | None = None, timeout: float = 10) -> Any:
        self.left -= 1
        if self.left:
            return self.device.call(method, params, timeout)
        if self.arrives:
            self.device.call(method, params, timeout)
        raise ConsoleError(method, -32000, "the test lost it")


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("lost", [1, 3])
def test_lost_pieces_are_sent_again(lost: int, arrives: bool) -> None:
    require("micropython")
    with rehearsal.blank(boards.find("unix")) as device:
        given = configuration("lossy")
        send_configuration(Lossy(device, lost, arrives), given.board)  # type: ignore[arg-type]
        assert device.restart()["device"] == "lossy"


@pytest.fixture
def unix() -> Iterator[UnixBoard]:
    require("micropython")
    board = boards.find("unix")
    with UnixBoard(board, build.files(board)) as running:
        yield running


def opened(running: UnixBoard) -> Device:
    return Device(running.url, reopen=lambda: rehearsal.reopened(running))


def test_secrets_are_apart_and_old_ones_gone(unix: UnixBoard) -> None:
    (unix.flash / "config.json").write_text(json.dumps(configuration("plain").board))
    with opened(unix) as device:
        provision.run(device, configuration("a"), None, Said())
        provision.run(device, configuration("b"), None, Said())
    kept = {path.name: path.read_text(errors="replace") for path in unix.flash.glob("*_*")}
    assert len(kept) == 2, kept.keys()
    for name, text in kept.items():
        assert (CANARY in text) == name.startswith("secret_")
        assert (WIFI in text) == name.startswith("secret_")
    assert not (unix.flash / "config.json").exists()


def test_lost_keys_are_reported(unix: UnixBoard) -> None:
    with opened(unix) as device:
        provision.run(device, configuration("a"), None, Said())
        for path in unix.flash.glob("secret_*"):
            path.unlink()
        event = device.restart()
        assert (event["event"], event["code"]) == ("fatal", "provisioning-lost")
        status = device.call("status")
        assert status["mode"] == "stopped"
        assert "provisioning lost" in status["reason"]
    said = Said()
    with opened(unix) as device:
        assert provision.run(device, configuration("b"), None, said)["device"] == "b"
    assert "lost from its NVS" in said.warnings[0]


def test_plain_flash_is_warned_of(unix: UnixBoard) -> None:
    said = Said()
    with opened(unix) as device:
        device.status["flash_encrypted"] = False
        provision.run(device, configuration("a"), None, said)
        assert "is not encrypted: whoever holds the board can read its keys" in said.warnings[0]
        said = Said()
        device.status["flash_encrypted"] = True
        provision.run(device, configuration("b"), None, said)
    assert said.warnings == []


def test_torn_write_leaves_the_old(unix: UnixBoard) -> None:
    """What a loss of power leaves; tests/agent/test_store.py tries every byte."""
    with opened(unix) as device:
        provision.run(device, configuration("old"), None, Said())
    for name in ("config_b.json", "secret_b"):
        (unix.flash / name).write_bytes(b"half")
    with opened(unix) as device:
        assert device.restart()["device"] == "old"
        assert provision.run(device, configuration("new"), None, Said())["device"] == "new"
