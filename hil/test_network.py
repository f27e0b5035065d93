"""What comes from the network besides IKE, on any board."""

import socket

import pytest

from ikelet.demo import LOOPBACK
from ikelet_hil.bench import Bench, eventually
from test_psk import each_role


def send_to_the_agent(bench: Bench, *datagrams: bytes) -> None:
    port = bench.agent.config.board["network"]["port"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for datagram in datagrams:
            stranger.sendto(datagram, (LOOPBACK, port))


@each_role
def test_empty_datagram(bench: Bench, role: str) -> None:
    """One disables a UDP socket of the ESP32 port, until it is bound again."""
    suite = "aes256-sha256-modp2048"
    bench.start("builtin", role, suite=suite)
    send_to_the_agent(bench, b"")
    assert eventually(lambda: bench.drops().get("empty-datagram"), 5 * bench.board.slowness)
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason
    assert bench.drops()["empty-datagram"] == 1


@pytest.mark.parametrize("size", [1, 27, 28, 1472])
def test_rubbish(bench: Bench, size: int) -> None:
    """Datagrams that are no IKE message: each is counted, and nothing else comes of it."""
    suite = "aes256-sha256-modp2048"
    bench.start("builtin", "initiator", suite=suite)
    send_to_the_agent(bench, *[b"\xa5" * size] * 3)
    assert eventually(lambda: sum(bench.drops().values()) == 3, 5 * bench.board.slowness)
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason


def test_the_longest_message_in_mid_life(bench: Bench) -> None:
    """After some exchanges there is still room for a message of the greatest length."""
    bench.start("builtin", "responder", suite="aes256-sha256-modp1024")
    for _ in range(3):
        assert bench.negotiate()[0].established
    # Stock MicroPython's lwIP puts no fragments of IP together: there one packet is the most.
    send_to_the_agent(bench, b"\xa5" * (1472 if "nic" in bench.agent.board.tables else 2048))
    bench.agent.console.call("status", timeout=5 * bench.board.slowness)
    assert eventually(bench.drops) == {"bad-major-version": 1}
