"""The relay: both its sides, with a serial line between them that loses what it is told to."""

import itertools
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agent.console import Console
from agent.link_uart import Link
from ikelet import boards
from ikelet.console import Console as HostConsole
from ikelet.console import ConsoleTimeoutError
from ikelet.relay import Relay

NARROW = boards.find("esp32-generic").serial_room


class Line:
    """The serial line to a board with an agent's link: `lines` has what went over it, `harm` may
    change or lose (None) a line."""

    url = "test"

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.harm = lambda line: line
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        board = Console(self._said.put, {}, {}.get)
        self.link = Link("127.0.0.1", 500, board)
        self._feed = board.feed

    def write(self, line: bytes) -> None:
        self.lines.append(line)
        arrived = self.harm(line)
        if arrived is not None:
            self._feed(arrived)

    def read(self, timeout: float) -> bytes:
        try:
            return self._said.get(timeout=timeout)
        except queue.Empty:
            return b""

    def close(self) -> None:
        pass

    def received(self) -> bytes | None:
        deadline = time.monotonic() + 10
        while (found := self.link.receive()) is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return found[0] if found else None


@pytest.fixture(params=[False, True], ids=["wide", "narrow"])
def narrow(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def console(line: Line) -> Iterator[HostConsole]:
    with HostConsole(line) as console:
        yield console


@pytest.fixture
def relay(console: HostConsole, narrow: bool) -> Iterator[Relay]:
    relay = Relay(console.call, "127.0.0.1", 0, deadline=0.5, narrow=narrow)
    yield relay
    relay.close()


@pytest.fixture
def peer(relay: Relay) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect(relay.address)
        yield peer


def test_every_length(line: Line, relay: Relay, peer: socket.socket, narrow: bool) -> None:
    for size in (1, 83, 84, 85, 168, 324, 1500, 2048):
        datagram = os.urandom(size)
        peer.send(datagram)
        assert line.received() == datagram, size
    assert relay.repeated == relay.lost == 0
    longest = max(map(len, line.lines))
    assert (longest <= NARROW) == narrow, longest


def test_a_line_fits_whatever_the_addresses(line: Line, console: HostConsole) -> None:
    console._ids = itertools.count(1_000_000)
    relay = Relay(console.call, "127.0.0.1", 0, narrow=True)
    try:
        address = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
        for request in relay._requests([address, 65535, address, 65535], bytes(2048)):
            console.call("udp", request, 1)
    finally:
        relay.close()
    assert len(line.lines) == 25 and max(map(len, line.lines)) <= NARROW
    assert line.link.receive()[0] == bytes(2048)


def test_what_the_line_loses_is_sent_again(line: Line, relay: Relay, peer: socket.socket) -> None:
    """A character within a datagram, four of them, or a whole line."""
    for harm in (
        lambda text: text[:-40] + text[-39:],
        lambda text: text[:70] + text[74:],
        lambda text: None,
    ):
        for number in range(4):
            left = [number]

            def once(text: bytes, harm: Any = harm, left: list[int] = left) -> bytes | None:
                left[0] -= 1
                return harm(text) if left[0] == -1 else text

            line.harm = once
            datagram = os.urandom(324)
            peer.send(datagram)
            assert line.received() == datagram
    assert relay.repeated >= 3 and relay.lost == 0


def test_busy_is_not_lost(line: Line, relay: Relay, peer: socket.socket) -> None:
    datagrams = [os.urandom(300) for _ in range(10)]
    for datagram in datagrams:
        peer.send(datagram)
    time.sleep(0.3)
    assert [line.received() for _ in datagrams] == datagrams
    assert relay.repeated and relay.lost == 0


def test_calls_of_a_narrow_board_wait_for_one_another() -> None:
    class Silent:
        """Answers nothing, counts the requests on their way."""

        url = "test"
        sent = 0

        def read(self, timeout: float) -> bytes:
            time.sleep(timeout)
            return b""

        def write(self, data: bytes) -> None:
            self.sent += 1

        def close(self) -> None:
            pass

    for one_by_one, most in ((True, 1), (False, 3)):
        link = Silent()
        with HostConsole(link, one_by_one=one_by_one) as console:

            def ask(console: HostConsole = console) -> None:
                with pytest.raises(ConsoleTimeoutError):
                    console.call("status", timeout=0.4)

            asking = [threading.Thread(target=ask) for _ in range(3)]
            for thread in asking:
                thread.start()
            time.sleep(0.2)
            assert link.sent == most
            for thread in asking:
                thread.join()
