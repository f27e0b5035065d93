"""Syslog from a board, end to end: what a server on this machine gets of an agent."""

import json
import socket
from collections.abc import Iterator

import pytest

from ikelet import boards, build, config, demo, psk
from ikelet.agent import Agent
from ikelet.device import Device
from ikelet.unixboard import UnixBoard
from ikelet_hil.canary import Canary
from ikelet_hil.capabilities import require
from rfc5424 import Message


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(30)
        yield sink


@pytest.mark.parametrize("board", ["unix", "qemu-rv32"])
def test_what_a_server_gets(server: socket.socket, board: str) -> None:
    require({"unix": "micropython"}.get(board, board))
    canary = Canary()
    peer = {
        "address": "127.0.0.9",
        "port": demo.free_port(),
        "psk": canary.text,
        "retransmit": "fast",
        "proposals": ["aes128-sha256-modp2048"],
    }
    given = config.check(
        {
            "device": {"name": "branch-17"},
            "network": {"bind": "127.0.0.1", "port": demo.free_port()},
            "syslog": {
                "address": "127.0.0.1",
                "port": server.getsockname()[1],
                "facility": "local3",
            },
            "peer": {"hq": peer},
        }
    )
    with Agent(boards.find(board), given) as agent:
        agent.call("up", {"peer": "hq"})
        agent.call("down", {"peer": "hq"})
        datagrams = [server.recv(2048) for _ in range(2)]
        assert agent.status()["mode"] == "production"
    messages = [Message(datagram) for datagram in datagrams]
    assert [message.id for message in messages] == ["boot", "deleted"]
    for number, message in enumerate(messages, 1):
        assert message.priority == 19 * 8 + 5
        assert message.host == "branch-17"
        assert message.data["meta"]["sequenceId"] == str(number)
        assert (message.timestamp is None) == (board == "qemu-rv32"), "it has no clock"
    assert messages[1].text == "deleted hq us"
    assert not canary.find_in(b"".join(datagrams), "syslog")


def test_a_server_that_nobody_has_is_in_nobodys_way() -> None:
    require("micropython")
    given = config.check(
        {
            "device": {"name": "b"},
            "network": {"bind": "127.0.0.1", "port": demo.free_port()},
            "syslog": {"address": "127.0.0.1", "port": demo.free_port()},
            "peer": {"hq": {"address": "127.0.0.9", "psk": Canary().text}},
        }
    )
    with Agent(boards.find("unix"), given) as agent:
        for _ in range(20):
            agent.call("up", {"peer": "hq"})
            agent.call("down", {"peer": "hq"})
        assert agent.status()["send_failures"] == 0


def test_a_log_that_cannot_be_is_no_reason_not_to_run() -> None:
    require("micropython")
    board = boards.find("unix")
    given = config.check(
        {
            "device": {"name": "branch"},
            "peer": {"hq": {"address": "10.9.0.1", "psk": psk.generate()}},
            "network": {"bind": "127.0.0.1", "port": 1500},
            "syslog": {"address": "10.9.0.9"},
        }
    )
    files = build.files(board) | {"config.json": json.dumps(given.board).encode()}
    files = {name: data for name, data in files.items() if not name.startswith("agent/syslog.")}
    files["agent/syslog.py"] = b"def start(agent):\n    raise OSError(22)\n"
    with UnixBoard(board, files) as running, Device(running.url) as there:
        assert there.status["mode"] == "production"
        told = there.call("events")["events"]
    assert any(" syslog syslog.address" in line for line in told), told
