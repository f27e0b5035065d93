"""Syslog from a board, end to end: what a server on this machine gets of an agent."""

import socket
from collections.abc import Iterator

import pytest

from ikelet import boards, config, demo
from ikelet.agent import Agent
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
