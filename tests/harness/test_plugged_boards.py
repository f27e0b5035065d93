"""Boards that outlive the harness: locks, what a run that was killed leaves, their power."""

import os
import re
import signal
import time
from collections.abc import Iterator

import pytest

from harness.served import Served
from ikelet_hil.capabilities import require

pytestmark = [pytest.mark.xdist_group("served"), pytest.mark.timeout(500)]
LONG = """
def test_long(agent):
    assert agent.status()["board"] == "qemu-rv32"
    first_time("running")
    time.sleep(600)
"""
SHORT = """
def test_short(agent):
    assert agent.status()["board"] == "qemu-rv32"
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    require("qemu-rv32")
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.close()


@pytest.fixture
def desk(harness, served):
    """The harness, with the served board as `desk` in its bench.toml."""
    (harness.folder / "bench.toml").write_text(served.bench())
    return harness


def await_file(harness, process, name: str) -> None:
    deadline = time.monotonic() + 200
    while not (harness.folder / name).exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"no {name}"
        time.sleep(0.05)


def test_a_run_that_was_killed_is_taken_over(desk):
    """SIGKILL in the middle of a test: the agent is still running on the board."""
    desk.suite(LONG)
    killed = desk.start("--board", "desk")
    await_file(desk, killed, "running")
    desk.suite(SHORT)
    busy = desk.run("--board", "desk", timeout=200)
    assert busy.tests == {"test_short[desk]": "failed"}, busy.said
    assert f"is in use by process {killed.pid} of " in busy.said
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    outcome = desk.run("--board", "desk", timeout=300)
    assert outcome.tests == {"test_short[desk]": "passed"}, outcome.said
    assert f"left behind in the phase test by process {killed.pid}" in outcome.said
    assert "soft-reset brought it back" in outcome.said


def test_ctrl_c_leaves_nothing_behind(desk):
    desk.suite(LONG)
    process = desk.start("--board", "desk")
    await_file(desk, process, "running")
    os.kill(process.pid, signal.SIGINT)
    outcome = desk.finish(process, timeout=200)
    assert outcome.code == 2, outcome.said
    for lock in (desk.folder / "locks").glob("*.lock"):
        assert lock.read_text() == ""
    desk.suite(SHORT)
    after = desk.run("--board", "desk", timeout=300)
    assert after.tests == {"test_short[desk]": "passed"}, after.said
    assert "left behind" not in after.said


# Nobody waits long for a board that hangs, until it has its power back.
HANGING = """
import functools
from ikelet import agent as it, serialboard
from ikelet_hil import power, recovery, station as there
usual = it.CALL_DEADLINE, there._ANSWER, recovery._PROBE, serialboard.prompt

def wait_for(call, answer, probe, prompt):
    it.CALL_DEADLINE, there._ANSWER = call, answer
    recovery._PROBE, serialboard.prompt = probe, prompt

def cycle(switch, cycle=power.cycle):
    cycle(switch)
    wait_for(*usual)
power.cycle = cycle

def test_hangs(agent):
    if first_time("hung"):
        wait_for(0.5, 0.5, 0.5, functools.partial(serialboard.prompt, patience=1.0))
        os.kill(int(open({pid!r}).read()), signal.SIGSTOP)
    assert agent.status()["board"] == "qemu-rv32"
"""


def test_a_board_that_nothing_gentler_helps_loses_its_power(desk, served):
    """Its machine is stopped: the switch in bench.toml ends it for good, and starts another."""
    desk.suite(HANGING.format(pid=str(served.folder / "pid")))
    before = served.board.pid
    served.switched.clear()
    outcome = desk.run("--board", "desk", timeout=300)
    assert outcome.tests == {"test_hangs[desk]": "recovered"}, outcome.said
    assert "qemu-rv32 hangs: no answer within 2 s; power brought it back" in outcome.said
    assert served.board.pid != before
    (first, off), (second, on) = served.switched
    assert (first, second) == ("off", "on")
    assert on - off >= 2.0
    kept = desk.folder / "build" / "hil" / "latest"
    counters = (kept / "metrics.txt").read_text()
    for rung, helped in (("soft-reset", "no"), ("power", "yes")):
        labels = f'board="desk",helped="{helped}",rung="{rung}"'
        assert f"ikelet_hil_recoveries_total{{{labels}}} 1.0" in counters, counters
    told = "".join(path.read_text() for path in sorted(kept.glob("desk/*/timeline.txt")))
    assert re.findall(r"  power +(.*)", told) == ["power off", "power on"]
