"""The command as a user meets it: exit codes, one line for each mistake, nothing left behind."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ikelet import demo
from ikelet.peers import PeerConfig
from ikelet.peers.builtin import BuiltinPeer
from ikelet_hil.capabilities import require

pytestmark = pytest.mark.xdist_group("cli")

KEY = "canary-q9Vd-2mXr7_LtZw4.Kc8"
OTHER_KEY = b"z7Rk-9bWq3_NpYs6.Hd1"
COMMAND = [sys.executable, "-m", "ikelet"]


@dataclass
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def result(self) -> dict[str, Any]:
        return self.events[-1]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Commands get a temporary folder of their own, which must be empty in the end."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    yield folder
    assert list(folder.iterdir()) == []


def _environment(**changes: str) -> dict[str, str]:
    return os.environ | changes


def _ran(code: int, out: str, err: str, as_json: bool) -> Ran:
    assert "Traceback" not in out + err
    assert KEY not in out + err
    events = [json.loads(line) for line in out.splitlines()] if as_json else []
    return Ran(code, out, err, events)


def run(*arguments: str | Path, timeout: float = 60, **environment: str) -> Ran:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=_environment(**environment),
        stdin=subprocess.DEVNULL,
    )
    return _ran(done.returncode, done.stdout, done.stderr, "--json" in arguments)


def write(folder: Path, remote: int, port: int | None = None, **peer: object) -> Path:
    """A configuration for loopback; `peer` overrides keys of the one peer."""
    keys = {
        "address": "127.0.0.1",
        "port": remote,
        "psk": KEY,
        "retransmit": "fast",
        "proposals": ["aes128-sha256-modp2048"],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in (keys | peer).items()]
    path = folder / "agent.toml"
    network = f'[network]\nbind = "127.0.0.1"\nport = {port or demo.free_port()}\n'
    path.write_text('[device]\nname = "t"\n' + network + "[peer.hq]\n" + "\n".join(lines))
    return path


def _refusal(cookies: bytes) -> bytes:
    """An INFORMATIONAL in the clear: NO-PROPOSAL-CHOSEN (14), RFC 2408 sections 3.1 and 3.14."""
    notify = struct.pack(">BBHIBBH", 0, 0, 12, 1, 1, 0, 14)
    return cookies + struct.pack(">BBBBII", 11, 0x10, 5, 0, 7, 28 + len(notify)) + notify


def gateway(mangle: Any = None, **changes: Any) -> BuiltinPeer:
    settings: dict[str, Any] = {
        "psk": KEY.encode(),
        "remote_id": "127.0.0.1",
        "proposals": ["aes128-sha256-modp2048"],
    }
    return BuiltinPeer(PeerConfig(**(settings | changes)), mangle=mangle)


class TestDemo:
    def test_json(self) -> None:
        require("micropython")
        ran = run("demo", "--json")
        assert (ran.code, ran.err) == (0, "")
        messages = [event for event in ran.events if event["event"] == "message"]
        assert [(m["number"], m["direction"]) for m in messages] == [
            (1, "out"), (2, "in"), (3, "out"), (4, "in"), (5, "out"), (6, "in"),
        ]  # fmt: skip
        result = ran.result
        assert (result["event"], result["established"]) == ("result", True)
        assert "reason" not in result
        assert (result["role"], result["suite"]) == ("initiator", "aes256-sha256-modp2048")
        assert all(len(result["cookies"][side]) == 16 for side in ("initiator", "responder"))
        assert sum(result["engines"]["modexp"].values()) == 2
        assert result["timings_ms"]["total"] > 0
        assert {"free", "used"} <= set(result["heap"])

    def test_for_people(self) -> None:
        require("micropython")
        ran = run("demo")
        assert (ran.code, ran.err) == (0, "")
        assert "\x1b" not in ran.out
        assert "ESTABLISHED" in ran.out.splitlines()[-2]
        assert [line for line in ran.out.splitlines() if " HASH" in line]

    @pytest.mark.parametrize("auth", ["rsa", "ecdsa"])
    def test_certificates(self, auth: str) -> None:
        require("micropython")
        ran = run("demo", "--auth", auth)
        assert (ran.code, ran.err) == (0, "")
        assert "with certificates (RFC 2409)" in ran.out
        assert [line for line in ran.out.splitlines() if " ID CERT CERTREQ N SIG" in line]
        assert [line for line in ran.out.splitlines() if " ID CERT SIG " in line]
        assert "ID gw.example, SIG_R" in ran.out

    def test_certificates_with_strongswan(self) -> None:
        require("micropython")
        require("strongswan")
        # The path of a Unix socket has 107 characters at most, which pytest's folders use up.
        with tempfile.TemporaryDirectory(dir="/tmp") as short:
            options = "--auth", "ecdsa", "--peer", "strongswan", "--json"
            ran = run("demo", *options, TMPDIR=short)
            assert list(Path(short).iterdir()) == []
        assert (ran.code, ran.err) == (0, "")
        assert (ran.result["established"], ran.result["auth"]) == (True, "cert")


class TestUp:
    def test_initiator(self, tmp_path: Path) -> None:
        require("micropython")
        with gateway() as peer:
            ran = run("up", write(tmp_path, peer.address[1]), "--json")
            assert ran.code == 0, ran
            assert ran.result["peer"] == "hq"
            assert peer.results[-1].initiator_cookie == ran.result["cookies"]["initiator"]
            assert peer.wait_event("deleted", 5), "the SA is deleted at the end"

    def test_responder(self, tmp_path: Path) -> None:
        require("micropython")
        port = demo.free_port()
        with gateway(role="initiator", remote=("127.0.0.1", port)) as peer:
            config = write(tmp_path, peer.address[1], port, role="responder")
            command = [*COMMAND, "up", str(config), "--json"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                first = process.stdout.readline() + process.stdout.readline()
                peer.initiate()
                out = first + process.stdout.read()
            ran = _ran(process.returncode, out, "", True)
        assert ran.code == 0, ran
        assert ran.result["role"] == "responder"

    def test_nobody_there(self, tmp_path: Path) -> None:
        require("micropython")
        port = demo.free_port()
        ran = run("up", write(tmp_path, port), "--timeout", "1", "--json")
        assert ran.code == 1
        assert ran.result["established"] is False
        assert f"is there a gateway at 127.0.0.1 port {port}" in ran.result["reason"]
        assert ran.err == f"ikelet: {ran.result['reason']}\n"

    def test_nobody_initiates(self, tmp_path: Path) -> None:
        require("micropython")
        config = write(tmp_path, 500, role="responder")
        ran = run("up", config, "--timeout", "0.5", "--json")
        assert ran.code == 1
        assert "did not initiate within 0.5 s" in ran.result["reason"]

    def test_other_key_as_initiator(self, tmp_path: Path) -> None:
        require("micropython")
        with gateway(psk=OTHER_KEY) as peer:
            ran = run("up", write(tmp_path, peer.address[1]), "--timeout", "2", "--json")
        assert ran.code == 1
        assert "pre-shared keys differ?" in ran.result["reason"]

    def test_other_key_as_responder(self, tmp_path: Path) -> None:
        require("micropython")
        port = demo.free_port()
        settings = {"role": "initiator", "remote": ("127.0.0.1", port), "psk": OTHER_KEY}
        with gateway(**settings) as peer:
            config = write(tmp_path, peer.address[1], port, role="responder")
            command = [*COMMAND, "up", str(config), "--timeout", "2", "--json"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                first = process.stdout.readline() + process.stdout.readline()
                peer.initiate()
                out = first + process.stdout.read()
        ran = _ran(process.returncode, out, "", True)
        assert ran.code == 1
        assert "pre-shared keys differ?" in ran.result["reason"]

    def test_no_common_proposal(self, tmp_path: Path) -> None:
        require("micropython")
        start = time.monotonic()
        with gateway(proposals=["aes256-sha512-modp4096"]) as peer:
            ran = run("up", write(tmp_path, peer.address[1]), "--timeout", "40", "--json")
        assert ran.code == 1
        assert time.monotonic() - start < 20, "a refusal ends the wait"
        assert "NO-PROPOSAL-CHOSEN" in ran.result["reason"]

    def test_forged_refusal_ends_nothing(self, tmp_path: Path) -> None:
        """Anyone can send a clear NO-PROPOSAL-CHOSEN; only silence after it makes it true."""
        require("micropython")

        def mangle(number: int, datagram: bytes) -> list[bytes]:
            if number == 4:
                time.sleep(1.5)
            return [_refusal(datagram[:16]), datagram] if number == 2 else [datagram]

        with gateway(mangle=mangle) as peer:
            ran = run("up", write(tmp_path, peer.address[1]), "--json")
        assert "NO-PROPOSAL-CHOSEN" in [e.get("type") for e in ran.events]
        assert ran.code == 0, ran

    def test_port_in_use(self, tmp_path: Path) -> None:
        require("micropython")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            ran = run("up", write(tmp_path, 500, port))
        assert ran.code == 1
        assert ran.err == f"ikelet: UDP port {port} on 127.0.0.1 is in use\n"

    def test_hold_ends_when_the_peer_deletes(self, tmp_path: Path) -> None:
        require("micropython")
        with gateway() as peer:
            config = write(tmp_path, peer.address[1])
            command = [*COMMAND, "up", str(config), "--hold", "30", "--json"]
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as process:
                assert peer.wait(20).established
                peer.delete()
                out, err = process.communicate(timeout=20)
        ran = _ran(process.returncode, out, err, True)
        assert ran.code == 1
        assert ran.result["reason"] == "established, but then the peer took it down"


def test_interrupted_at_once(tmp_path: Path) -> None:
    """While it still imports what it needs."""
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(COMMAND, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "ikelet: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, temporary: Path, number: signal.Signals) -> None:
    """Nothing is left: no interpreter, no flash; an SA that was up is taken down."""
    require("micropython")
    with gateway() as peer:
        config = write(tmp_path, peer.address[1])
        process = subprocess.Popen(
            [*COMMAND, "up", str(config), "--hold", "60", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert any(json.loads(line)["event"] == "established" for line in process.stdout)
        (flash,) = temporary.glob("ikelet-unix-*")
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 128 + number
        assert "Traceback" not in err
        assert peer.wait_event("deleted", 5)
    assert not flash.exists()
    assert _processes_in(flash) == []


def _processes_in(folder: Path) -> list[str]:
    """Processes whose working directory is `folder`, which may be gone by now."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append(link.parent.name)
    return found


class TestMisuse:
    """Exit code 2, and lines that say what would do."""

    def test_configuration(self, tmp_path: Path) -> None:
        ran = run("up", write(tmp_path, 70000, role="client", local_id="a.example"))
        assert ran.code == 2
        lines = ran.err.splitlines()
        assert len(lines) == 3
        assert all(line.startswith(f"ikelet: {tmp_path}/agent.toml: peer.hq.") for line in lines)

    def test_configuration_that_is_not_there(self, tmp_path: Path) -> None:
        ran = run("up", tmp_path / "absent.toml")
        assert ran.code == 2
        assert ran.err == f"ikelet: {tmp_path}/absent.toml: No such file or directory\n"

    def test_weak_key(self, tmp_path: Path) -> None:
        config = write(tmp_path, demo.free_port(), psk="weak")
        assert "--allow-weak-psk" in run("up", config).err
        require("micropython")
        ran = run("up", config, "--allow-weak-psk", "--timeout", "0.5")
        assert ran.code == 1
        assert "ikelet: warning: " in ran.err

    def test_board(self) -> None:
        ran = run("demo", "--board", "unxi")
        assert (ran.code, ran.out.strip()) == (2, "")
        assert ran.err == 'ikelet: no board is called "unxi"; did you mean unix?\n'

    def test_interpreter(self) -> None:
        ran = run("demo", "--json", IKELET_MICROPYTHON="/nowhere/micropython")
        assert ran.code == 2
        assert ran.err.count("\n") == 1
        assert "IKELET_MICROPYTHON names /nowhere/micropython" in ran.err
        assert ran.result["established"] is False

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["dmeo"], "No such command"),
            (["up"], "Missing argument 'CONFIG'"),
            (["demo", "--timeout", "x"], "'x' is not a valid float"),
            (["demo", "--peer", "cisco"], "'cisco' is not one of"),
            (["status"], "say where the agent is"),
            (["status", "--board", "unix"], "needs a CONFIG"),
        ],
    )
    def test_arguments(self, arguments: list[str], words: str) -> None:
        ran = run(*arguments)
        assert ran.code == 2
        assert words in ran.err
        assert ran.err.count("\n") == 1


def test_boards() -> None:
    ran = run("boards", "--json")
    assert ran.code == 0
    unix = next(event for event in ran.events if event["name"] == "unix")
    assert unix["usable"] == (not unix["reason"])
    ran = run("boards", "--json", IKELET_MICROPYTHON="/nowhere/micropython")
    unix = next(event for event in ran.events if event["name"] == "unix")
    assert unix["usable"] is False
    assert "/nowhere/micropython" in unix["reason"]


def test_status(tmp_path: Path) -> None:
    require("micropython")
    config = write(tmp_path, 500)
    ran = run("status", "--board", "unix", config, "--json")
    assert ran.code == 0, ran
    assert ran.result["peers"][0]["name"] == "hq"
    assert "modexp/2048" in ran.result["selftest"]
    ran = run("status", "--board", "unix", config)
    assert ran.code == 0, ran
    assert "t  production  up for" in ran.out
    ran = run("status", "--board", "unix", config, "--events")
    assert ran.code == 0, ran
    assert ran.out.rstrip().endswith("s ago  boot t")
    ran = run("status", "--port", "/dev/nowhere")
    assert ran.code == 2
    assert ran.err.startswith("ikelet: there is no port /dev/nowhere; ")


def test_selftest(tmp_path: Path) -> None:
    require("micropython")
    ran = run("selftest", "--board", "unix", write(tmp_path, 500))
    assert ran.code == 0, ran
    assert json.loads(ran.out)["modexp/2048"] == {"software": "ok"}


def test_provision(tmp_path: Path) -> None:
    require("micropython")
    ran = run("provision", write(tmp_path, 500), "--board", "unix", "--json")
    assert ran.code == 0, ran
    assert ran.result["provisioned"] is True
    assert ran.result["boot"]["device"] == "t"
    assert [event["event"] for event in ran.events[:-1]] == ["warning", "warning", "step", "step"]
    assert "encrypted" in ran.events[0]["text"] and "password" in ran.events[1]["text"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("provision", "CONFIG"), "--port PORT"),
        (("provision", "CONFIG", "--board", "esp32-generic"), "--port PORT"),
        (("provision", "CONFIG", "--port", "/dev/nowhere"), "there is no port /dev/nowhere"),
        (("reset", "--port", "/dev/nowhere"), "there is no port /dev/nowhere"),
        (("flash", "--board", "unix", "--port", "P"), "unix is emulated"),
        (("flash", "--board", "esp32-generic", "--port", "/dev/nowhere"), "there is no port"),
        (("console",), "say where the agent is"),
        (("selftest", "--board", "unix"), "needs a CONFIG"),
        (("console", "--board", "esp32-generic", "CONFIG"), "no USB serial port"),
    ],
)
def test_misuse_of_devices(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    config = str(write(tmp_path, 500))
    ran = run(*(config if word == "CONFIG" else word for word in arguments))
    assert ran.code == 2, ran
    assert words in ran.err
    assert ran.err.count("\n") == 1


def test_console_in_a_pipe(tmp_path: Path) -> None:
    require("micropython")
    done = subprocess.run(
        [*COMMAND, "console", "--board", "unix", str(write(tmp_path, 500))],
        input="status\nconfig\nfly\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    ran = _ran(done.returncode, done.stdout, done.stderr, False)
    assert ran.code == 1, "one of the calls failed"
    assert '"uptime_ms"' in ran.out and '"psk": "(set)"' in ran.out
    assert "! fly: unknown method" in ran.out


def test_starts_fast() -> None:
    """The help must not wait for scapy."""
    start = time.monotonic()
    assert run("--help").code == 0
    assert time.monotonic() - start < 3
