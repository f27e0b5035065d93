"""Places of a labgrid farm, with a real coordinator and real exporters."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from farm.loopback import LOOPBACK, Farm, Line, Switch, place
from ikelet import links
from ikelet_hil import labgrid, power
from ikelet_hil.capabilities import require
from ikelet_hil.labgrid import Place, PlaceError

pytestmark = pytest.mark.xdist_group("farm")

# Seconds for what comes of itself, on a loaded machine: an exporter that starts, a holder that
# ends. What waits for it returns as soon as it is there.
PATIENCE = 60.0

PLACES = {
    "desk": place("shelf", board="qemu-rv32"),
    "untagged": place("shelf"),
    "mistagged": place("shelf", board="esp33"),
    "telnet": place("telnet", board="qemu-rv32"),
    "two": place("two", board="qemu-rv32"),
    "doomed": place("drawer", board="unix"),
    "empty": place("attic", board="unix"),
}


@pytest.fixture(scope="module")
def switch() -> Iterator[Switch]:
    with Switch() as running:
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Line() as running:
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def running_farm(
    tmp_path_factory: pytest.TempPathFactory, line: Line, switch: Switch
) -> Iterator[Farm]:
    require("labgrid")
    with contextlib.closing(Farm(tmp_path_factory.mktemp("farm"), PLACES)) as farm:
        serial, power = line.resource(), switch.resource()
        farm.export("shelf", {"NetworkSerialPort": serial, "NetworkPowerPort": power})
        farm.export("telnet", {"NetworkSerialPort": line.resource("rfc2217")})
        ports = {name: {"cls": "NetworkSerialPort"} | serial for name in ("left", "right")}
        farm.export("two", ports)
        yield farm


@pytest.fixture
def farm(running_farm: Farm, monkeypatch: pytest.MonkeyPatch) -> Farm:
    """The farm; this process is alice's."""
    for name, value in running_farm.environment("alice").items():
        monkeypatch.setenv(name, value)
    return running_farm


@pytest.fixture
def as_user(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda user: monkeypatch.setenv("LG_USERNAME", user)


def eventually(condition: Callable[[], object]) -> object:
    end = time.monotonic() + PATIENCE
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


def test_a_place_is_a_board_at_a_line_with_power(farm: Farm, line: Line, switch: Switch) -> None:
    with Place("desk", PATIENCE) as desk:
        assert desk.board.name == "qemu-rv32"
        assert desk.url == f"socket://{LOOPBACK}:{line.server_address[1]}"
        link = links.open_link(desk.url)
        link.write(b"hello")
        assert link.read(PATIENCE) == b"hello"
        link.close()
        switch.states.clear()
        assert desk.power
        power.cycle(desk.power)
        (off, began), (on, ended) = switch.states
        assert (off, on) == (False, True)
        assert ended - began >= 2.0
        assert desk.lost() == ""


def test_a_line_with_modem_control(farm: Farm, line: Line) -> None:
    with Place("telnet", PATIENCE) as telnet:
        assert telnet.url == f"rfc2217://{LOOPBACK}:{line.server_address[1]}"
        assert telnet.power is None


def test_two_contend(farm: Farm, as_user: Callable[[str], None]) -> None:
    said: list[str] = []

    def leave(line: str) -> None:
        said.append(line)
        alice.release()

    with Place("desk", PATIENCE) as alice:
        with pytest.raises(PlaceError, match=r"by bench/alice \(you: `labgrid-client -p desk rel"):
            Place("desk")
        as_user("bob")
        with pytest.raises(PlaceError, match=r"place desk is held by bench/alice since .*--wait"):
            Place("desk")
        with Place("desk", PATIENCE, waiting=leave) as bob:
            assert bob.lost() == ""
            assert len(said) == 1 and "held by bench/alice" in said[0]


def test_an_exporter_dies(farm: Farm, line: Line) -> None:
    exporter = farm.export("drawer", {"NetworkSerialPort": line.resource()})
    with Place("doomed", PATIENCE) as doomed:
        exporter.kill()
        wanted = "labgrid exporter drawer, which offers place doomed, is gone"
        assert eventually(doomed.lost) == wanted
    with pytest.raises(PlaceError, match=r"place doomed: no exporter offers drawer/box/\*"):
        Place("doomed")


def test_a_killed_run_frees_its_place(farm: Farm) -> None:
    script = (
        "from ikelet_hil.labgrid import Place; import time\n"
        f"with Place('desk', {PATIENCE}): print('held', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline() == b"held\n"
        os.kill(run.pid, signal.SIGKILL)
    with Place("desk", PATIENCE) as desk:
        assert desk.lost() == ""


def test_a_place_is_taken_away(farm: Farm, as_user: Callable[[str], None]) -> None:
    with Place("desk", PATIENCE) as alice:
        farm.client("root", "-p", "desk", "release", "--kick")
        as_user("bob")
        with Place("desk", PATIENCE) as bob:
            assert "place desk was" in str(eventually(alice.lost))
            alice.release()
            assert bob.lost() == ""
            with pytest.raises(PlaceError, match="held by bench/bob"):
                Place("desk")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("untagged", "labgrid-client -p untagged set-tags board=NAME"),
        ("mistagged", 'place mistagged, tag board: no board is called "esp33"'),
        ("two", 'place two has left and right: name the one to use "console"'),
        ("empty", r"place empty: no exporter offers attic/box/\*"),
        ("desc", "knows no place desc; there is: desk, doomed, empty, "),
    ],
)
def test_what_is_wrong_with_a_place(farm: Farm, name: str, why: str) -> None:
    with pytest.raises(PlaceError, match=why):
        Place(name)


def test_no_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    require("labgrid")
    with socket.create_server((LOOPBACK, 0)) as closed:
        address = f"{LOOPBACK}:{closed.getsockname()[1]}"
    monkeypatch.setenv("LG_COORDINATOR", address)
    why = f"coordinator at {address} does not answer .Connection refused.; LG_COORDINATOR says"
    with pytest.raises(PlaceError, match=why):
        Place("desk")


def test_the_coordinator_dies(
    farm: Farm, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(Farm(tmp_path_factory.mktemp("other"), PLACES)) as other:
        other.export("shelf", {"NetworkSerialPort": {"host": LOOPBACK, "port": 1}})
        monkeypatch.setenv("LG_COORDINATOR", other.address)
        with Place("desk", PATIENCE) as desk:
            other.coordinator.kill()
            assert f"coordinator at {other.address} is gone" in str(eventually(desk.lost))


def test_without_labgrid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labgrid.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PlaceError, match=r"labgrid:desk needs labgrid: pip install 'ikelet\[farm"):
        Place("desk")
