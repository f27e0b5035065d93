"""One agent, the hub, and the gateways that call it, each at its own address of the loopback."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from ikelet import boards, config, peers, psk
from ikelet.agent import Agent
from ikelet.demo import LOOPBACK, free_port
from ikelet.peers import Peer, PeerConfig

SUITE = "aes256-sha256-modp2048"


class Hub:
    """`call(number)` has a gateway bring its SA up."""

    def __init__(self, agent: Agent, port: int, keys: list[str]) -> None:
        self.agent = agent
        self._port = port
        self._keys = keys
        self._ending = contextlib.ExitStack()
        self.gateways: dict[int, Peer] = {}

    def call(self, number: int) -> None:
        settings = PeerConfig(
            role="initiator",
            local=(address(number), 0),
            remote=(LOOPBACK, self._port),
            psk=psk.decoded(self._keys[number]),
            local_id=address(number),
            remote_id=LOOPBACK,
            proposals=[SUITE],
        )
        gateway = self._ending.enter_context(peers.make_peer("builtin", settings))
        self.gateways[number] = gateway
        gateway.initiate()
        result = gateway.wait(60)
        assert result.established, result.reason

    def heap(self) -> int:
        """Bytes in use, garbage collected."""
        used: int = self.agent.status()["heap"]["used"]
        return used

    def established(self) -> list[str]:
        """The peers that are up, as the agent says."""
        return [p["name"] for p in self.agent.status()["peers"] if p["state"] == "ESTABLISHED"]

    def wait_down(self, number: int, seconds: float = 10) -> bool:
        """Whether a gateway's SA goes in time."""
        deadline = time.monotonic() + seconds
        while f"branch-{number}" in self.established():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def close(self) -> None:
        self._ending.close()


def address(number: int) -> str:
    return f"127.0.2.{number + 1}"


@contextlib.contextmanager
def hub(board: str, count: int, **peer: Any) -> Iterator[Hub]:
    """A hub with `count` peers; `peer` overrides their settings."""
    port = free_port()
    keys = [psk.generate() for _ in range(count)]
    given = {
        "device": {"name": "hub"},
        "network": {"bind": LOOPBACK, "port": port},
        "peer": {
            f"branch-{number}": {
                "address": address(number),
                "role": "responder",
                "psk": keys[number],
                "proposals": [SUITE],
                "dpd": 300,
                **peer,
            }
            for number in range(count)
        },
    }
    with Agent(boards.find(board), config.check(given)) as agent:
        there = Hub(agent, port, keys)
        try:
            yield there
        finally:
            there.close()
