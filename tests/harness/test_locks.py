"""Locks of boards: who holds one, waiting for it, and what a holder who was killed leaves."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from ikelet_hil.locks import BusyError, Holder, Lock

HOLD = """
import sys, time
from ikelet_hil.locks import Lock
lock = Lock("usb:A1", "their-run")
lock.doing("flash")
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("IKELET_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def other() -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_busy_board_names_its_holder(other):
    with pytest.raises(BusyError, match=rf"usb:A1 is in use by process {other.pid} of .*--wait S"):
        Lock("usb:A1", "mine")
    with Lock("usb:A2", "mine") as free:
        assert free.left is None


def test_waiting(other):
    told: list[Holder | None] = []
    timer = threading.Timer(0.5, lambda: (other.stdin.write("\n"), other.stdin.flush()))
    timer.start()
    with Lock("usb:A1", "mine", wait=60, waiting=told.append) as lock:
        assert lock.left is None
    timer.join()
    assert [holder.run for holder in told if holder] == ["their-run"]


def test_waiting_ends(other):
    with pytest.raises(BusyError, match=r"waited 0\.3 s"):
        Lock("usb:A1", "mine", wait=0.3)


def test_a_killed_holder_leaves_what_he_did(other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with Lock("usb:A1", "mine", wait=30) as lock:
        assert lock.left is not None
        assert (lock.left.pid, lock.left.run, lock.left.doing) == (other.pid, "their-run", "flash")
    with Lock("usb:A1", "again") as lock:
        assert lock.left is None
