"""The suites on a board of a farm."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.box import TYPE, box
from farm.loopback import Farm, place
from ikelet import boards
from ikelet_hil.capabilities import require
from ikelet_hil.recovery import DeadError
from ikelet_hil.station import Station
from ikelet_hil.targets import Held, Terms

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.xdist_group("farm")
@pytest.mark.timeout(300)
def test_a_suite_on_a_place(tmp_path: Path) -> None:
    require("labgrid")
    require("qemu-rv32")
    places = {"box": place("shelf", board=TYPE)}
    with box() as there, contextlib.closing(Farm(tmp_path, places)) as farm:
        serial, power = there.resource(), there.switch.resource()
        farm.export("shelf", {"NetworkSerialPort": serial, "NetworkPowerPort": power})
        test = "hil/test_psk.py::test_suite[labgrid:box-aes256-sha256-modp2048-initiator-builtin]"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test]
        done = subprocess.run(
            [*command, "--board", "labgrid:box", "--wait", "120"],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
            | farm.environment("alice"),
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stdout
        assert "1 passed" in done.stdout, done.stdout


class Lost:
    """A target that was acquired and then taken away."""

    name = "labgrid:box"
    board = None

    def acquire(self, terms: Terms) -> Held:
        return Held(boards.find(TYPE), lost=lambda: "labgrid exporter shelf is gone")


def test_a_lost_board_is_dead_without_a_climb() -> None:
    station = Station(Lost(), Terms("a run"))
    station.check()
    station.acquire()
    with pytest.raises(DeadError, match="exporter shelf is gone") as caught:
        station.check()
    trouble = station.examine(caught.value)
    assert trouble and trouble.kind == "lost"
    assert station.recover(trouble) is None
    assert station.dead == "labgrid exporter shelf is gone"
    assert station.ladder and not station.ladder.counters
