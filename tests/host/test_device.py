"""Ports, prompt, shell: what a user is told when it is not as it should be."""

import hashlib
import os
import pty
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ikelet import boards, demo, device, ports, prompt, rehearsal, shell
from ikelet import config as host_config
from ikelet.agent import Agent
from ikelet.device import Device, DeviceError
from ikelet.errors import MisuseError
from ikelet.links import LinkError
from ikelet.ports import PortBusyError, PortError
from ikelet_hil.capabilities import require


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """(master, the slave's path) of a PTY: a serial port."""
    master, slave = pty.openpty()
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


class TestPorts:
    def test_absent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ports, "present", lambda: [("/dev/ttyUSB0", "CP2102N")])
        with pytest.raises(PortError, match=r"no port /dev/ttyUSB7; .* /dev/ttyUSB0 \(CP2102N\)"):
            ports.check("/dev/ttyUSB7")

    def test_absent_where_none_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ports, "present", list)
        with pytest.raises(PortError, match="no USB serial port is plugged in"):
            ports.check("/dev/ttyUSB7")

    def test_not_a_port(self, tmp_path: Path) -> None:
        with pytest.raises(PortError, match="is no serial port"):
            ports.check(str(tmp_path))

    def test_no_permission(
        self, terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(PortError, match=r"no permission to use .*; join the group \w+: sudo"):
            ports.check(terminal[1])

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
    def test_busy_and_by_whom(self, terminal: tuple[int, str]) -> None:
        with open(terminal[1], "rb") as held:
            holder = subprocess.Popen(["sleep", "60"], stdin=held)
        try:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline and not list(ports.users(Path(terminal[1]))):
                time.sleep(0.02)
            with pytest.raises(PortBusyError, match=rf"in use by sleep \(process {holder.pid}\)"):
                ports.check(terminal[1])
        finally:
            holder.kill()
            holder.wait()

    def test_fine(self, terminal: tuple[int, str]) -> None:
        ports.check(terminal[1])
        ports.check("socket://anywhere:1")


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"", "it says nothing; is it the right port"),
        (b">>> ", "it is at MicroPython's prompt; `ikelet flash`"),
        (b"rst:0x1\r\nwaiting for download\r\n", "it is in download mode"),
        (b"Traceback (most recent call last):\r\nMemoryError: no\r\n", "MemoryError: no"),
        (b"Zephyr OS booted\r\n", "it says 'Zephyr OS booted'"),
    ],
)
def test_no_agent(
    terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch, says: bytes, words: str
) -> None:
    monkeypatch.setattr(device, "_ASK_AGAIN", 0.3)
    master, url = terminal

    def answer() -> None:
        """A prompt echoes what comes, everything else just talks."""
        while True:
            try:
                got = os.read(master, 4096)
            except OSError:
                return  # nobody has the other side open
            if b"stop" in got:
                return
            os.write(master, says + (got.replace(b"\n", b"\r\n") if says == b">>> " else b""))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        with pytest.raises(DeviceError) as caught:
            Device(url, deadline=1.0)
    finally:
        with open(url, "wb", buffering=0) as slave:
            slave.write(b"stop")
        thread.join(timeout=5)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_patience_with_slow_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(device.VARIABLE, raising=False)
    assert device.patience(30) == 30
    monkeypatch.setenv(device.VARIABLE, "2.5")
    assert device.patience(30) == 75
    for wrong in ("", "slow", "0.5", "nan", "1e9"):
        monkeypatch.setenv(device.VARIABLE, wrong)
        with pytest.raises(MisuseError, match=r"IKELET_SLOWNESS is '.*'; it is a factor, 1 to"):
            device.patience(30)


def test_a_device_is_waited_for_with_patience(
    terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "DEADLINE", 0.1)
    monkeypatch.setenv(device.VARIABLE, "10")
    start = time.monotonic()
    with pytest.raises(DeviceError, match="no agent answers"):
        Device(terminal[1])
    assert time.monotonic() - start >= 1.0


def test_port_that_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reset, native USB takes a while to be there again."""
    require("micropython")
    with rehearsal.blank(boards.find("unix")) as there:
        tries = []
        reopen = there._reopen

        def late() -> Any:
            tries.append(1)
            if len(tries) < 4:
                raise LinkError("not yet")
            return reopen()

        there._reopen = late
        assert there.restart()["code"] == "not-provisioned"
        assert len(tries) == 4


class Wire:
    """A Link that records the sizes of what is written."""

    url = "wire"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def read(self, timeout: float) -> bytes:
        return b""

    def write(self, data: bytes) -> None:
        self.sizes.append(len(data))

    def close(self) -> None: ...


def test_pieces_fit_into_a_uart() -> None:
    wire = Wire()
    prompt.Paced(wire).write(bytes(1000))
    assert sum(wire.sizes) == 1000
    assert max(wire.sizes) < 260


class Prompt:
    """A RawRepl over a dictionary."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.content = files

    def files(self) -> dict[str, str]:
        return {path: hashlib.sha256(data).hexdigest() for path, data in self.content.items()}

    def read(self, path: str) -> bytes:
        return self.content[path]

    def run(self, code: str) -> str:
        name = code.removeprefix("os.remove('").removesuffix("')\n")
        del self.content[name]
        return ""

    def load(self, files: dict[str, bytes], progress: object, block: int) -> list[str]:
        written = [path for path, data in files.items() if self.content.get(path) != data]
        self.content |= files
        return written


@pytest.mark.parametrize(
    ("boot", "stays"),
    [
        (b"# This file is executed on every boot\n#import webrepl\n\n", False),
        (b"", False),
        (b"# mine\nimport webrepl\n", True),
    ],
)
def test_a_boot_py_that_does_nothing_goes(boot: bytes, stays: bool) -> None:
    """It is the moment in which Ctrl-C leads to the prompt of a board in production."""
    wanted = {"main.py": b"run", "agent/run.mpy": b"M"}
    there = Prompt({"/boot.py": boot, "/agent/old.mpy": b"M", "/notes.txt": b"x"})
    assert prompt.install(there, wanted) == 2  # type: ignore[arg-type]
    kept = {"/main.py", "/agent/run.mpy", "/notes.txt"} | ({"/boot.py"} if stays else set())
    assert set(there.content) == kept
    assert prompt.install(there, wanted) == 0  # type: ignore[arg-type]
    ours = wanted | {"boot.py": b"# ours"}
    prompt.install(there, ours)  # type: ignore[arg-type]
    assert there.content["/boot.py"] == b"# ours"


def _agent() -> Agent:
    require("micropython")
    peer = {
        "address": "127.0.0.9",
        "psk": "q9Vd-2mXr7_LtZw4.Kc8",
        "role": "responder",
        "proposals": ["aes128-sha256-modp2048"],
    }
    network = {"bind": "127.0.0.1", "port": demo.free_port()}
    raw = {"device": {"name": "t"}, "network": network, "peer": {"hq": peer}}
    return Agent(boards.find("unix"), host_config.check(raw))


class TestShell:
    def test_calls_and_events(self) -> None:
        shown: list[str] = []
        with _agent() as agent:
            lines = ["status", "", "config", '{"method": "counters"}', "up hq", "quit", "status"]
            assert shell.Shell(agent.console, shown.append).run(lines) == 0
        text = "\n".join(shown)
        assert text.count('"uptime_ms"') == 1, "nothing after quit"
        assert '"(set)"' in text and "q9Vd" not in text
        assert '"ok": true' in text

    def test_mistakes_are_told(self) -> None:
        shown: list[str] = []
        with _agent() as agent:
            lines = ["up", "fly", "status now", "{", '{"method": 1}', "up nobody", "help"]
            assert shell.Shell(agent.console, shown.append).run(lines) == 1
        told = [line for line in shown if line.startswith("! ")]
        assert len(told) == 6
        assert told[0] == "! write up PEER; status lists the peers"
        assert "unknown method" in told[1]
        assert "no such peer" in told[5]
        assert shell.HELP in shown

    def test_what_the_board_says_by_itself(self) -> None:
        shown: list[str] = []

        class Console:
            gone = ""
            noise = deque(["rst:0x1"])

            def next(self, timeout: float) -> Any:
                return events.pop(0) if events else None

        console = Console()
        events = [
            ("event", {"event": "failed", "t_ms": 12, "peer": "hq", "reason": "no answer"}),
            ("log", {"level": "info", "text": "hello"}),
        ]
        shell.Shell(console, shown.append).run([])  # type: ignore[arg-type]
        assert shown == [
            "# rst:0x1",
            '*      12 ms failed peer=hq reason="no answer"',
            "* info: hello",
        ]

    def test_link_that_ends(self) -> None:
        shown: list[str] = []
        with _agent() as agent:
            agent.running.stop()
            assert shell.Shell(agent.console, shown.append).run(["status"]) == 1
        assert any("is gone" in line for line in shown)


def test_nothing_posix_on_the_path() -> None:
    """The commands for real boards run on Windows, which has none of these modules. pyserial and
    the standard library choose by platform, so they are imported first."""
    code = """
import subprocess, sys, tempfile, socket, click, serial, serial.tools.list_ports, urllib.request
for name in ("fcntl", "termios", "pty", "tty", "resource", "pwd", "grp", "readline", "posix"):
    sys.modules[name] = None
import ast, importlib
from ikelet import boards, cli, cli_device, cli_enroll, prompt, serialboard
for command in (cli_device, cli_enroll):
    for node in ast.walk(ast.parse(open(command.__file__, encoding="utf-8").read())):
        if isinstance(node, ast.ImportFrom) and node.module == "ikelet":
            for alias in node.names:
                importlib.import_module(f"ikelet.{alias.name}")
assert {"ikelet.flash", "ikelet.provision", "ikelet.shell"} <= sys.modules.keys()
names = [b.name for b in boards.load_all().values() if b.kind == "serial" and boards.runner(b)]
print(len(names), "ikelet.unixboard" in sys.modules, "ikelet.emulators.qemu" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "9 False False\n", done.stderr
