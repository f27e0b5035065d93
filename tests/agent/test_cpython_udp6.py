"""IPv6 sockets, where this machine has them."""

import socket
import time
from collections.abc import Callable

import pytest


def test_datagrams_over_the_loopback(
    require: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    require("ipv6")
    from agent import link_udp, udp6

    monkeypatch.setattr(link_udp, "socket", socket)  # another test may have left a fake there
    assert udp6.available()
    first, second = (udp6.Link("::1", port) for port in free_ports())
    try:
        first.send(first.local + second.local, b"question")
        assert wait(second) == (b"question", second.local + first.local)
        second.send(second.local + first.local, b"answer")
        assert wait(first) == (b"answer", first.local + second.local)
        assert first.receive() is None
        assert first.send_failures == second.send_failures == 0
    finally:
        first.close()
        second.close()


def free_ports() -> list[int]:
    probes = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
    for probe in probes:
        probe.bind(("::1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait(link):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 5
    while (found := link.receive()) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return found
