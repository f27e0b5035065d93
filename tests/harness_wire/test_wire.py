"""The wire, between two plain sockets: what each rule does, and what is recorded of it."""

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from ikelet_hil.passage import Numbering
from ikelet_hil.rules import (
    At,
    Rule,
    corrupt,
    delay,
    drop,
    duplicate,
    inject,
    reorder,
    replay,
    rewrite,
    truncate,
)
from ikelet_hil.timeline import Timeline
from ikelet_hil.wire import TO_AGENT, TO_PEER, Wire, bound

COOKIES = b"initiate", b"responds"
# number: (is the initiator's, responder's cookie, first payload, exchange, flags)
HEADERS = {
    1: (True, bytes(8), 1, 2, 0),
    2: (False, COOKIES[1], 1, 2, 0),
    3: (True, COOKIES[1], 4, 2, 0),
    4: (False, COOKIES[1], 4, 2, 0),
    5: (True, COOKIES[1], 5, 2, 1),
    6: (False, COOKIES[1], 5, 2, 1),
    0: (True, COOKIES[1], 8, 5, 1),
}
PATIENCE = 10  # seconds: only a failure takes that long


def message(number: int, body: bytes = b"body") -> bytes:
    _, cookie, first, exchange, flags = HEADERS[number]
    head = struct.pack("!BBBBII", first, 0x10, exchange, flags, 0, 28 + len(body))
    return COOKIES[0] + cookie + head + body


class Ends:
    """The two sides, the agent as initiator."""

    def __init__(self, seed: int = 1) -> None:
        self.agent, self.peer = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ap")
        for end in (self.agent, self.peer):
            end.bind(("127.0.0.1", 0))
            end.settimeout(PATIENCE)
        self.wire = Wire(self.agent.getsockname(), self.peer.getsockname(), seed=seed)
        self.wire.inject(TO_PEER, message(1))  # from here on it knows who is the initiator
        assert self.at_peer() == [message(1)]
        self.wire.passages.clear()

    def send(self, *numbers: int) -> None:
        for number in numbers:
            if HEADERS[number][0]:
                self.agent.sendto(message(number), self.wire.agent_side)
            else:
                self.peer.sendto(message(number), self.wire.peer_side)

    def close(self) -> None:
        self.wire.close()
        self.agent.close()
        self.peer.close()

    def at_peer(self, count: int = 1) -> list[bytes]:
        """The next datagrams that the peer gets."""
        return [self.peer.recv(4096) for _ in range(count)]

    def at_agent(self, count: int = 1) -> list[bytes]:
        return [self.agent.recv(4096) for _ in range(count)]

    def nothing_more(self) -> None:
        """A marker each way: it is the next thing that either side gets."""
        self.wire.clear()
        self.wire.inject(TO_PEER, b"end")
        self.wire.inject(TO_AGENT, b"end")
        assert self.at_peer() == [b"end"]
        assert self.at_agent() == [b"end"]

    def fates(self) -> list[str]:
        return [passage.fate for passage in self.wire.passages if passage.data != b"end"]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


def test_it_passes_both_ways_and_records(ends: Ends) -> None:
    started = time.monotonic()
    for number in (1, 2, 3, 4, 5, 6, 0):
        ends.send(number)
        received = ends.at_peer() if HEADERS[number][0] else ends.at_agent()
        assert received == [message(number)]
    ends.nothing_more()
    passages = ends.wire.passages[:7]
    assert [passage.number for passage in passages] == [1, 2, 3, 4, 5, 6, 0]
    assert [passage.direction for passage in passages] == [TO_PEER, TO_AGENT] * 3 + [TO_PEER]
    for passage in passages:
        ((delivered, data),) = passage.delivered
        assert data == passage.data == message(passage.number or 0)
        assert started <= passage.t <= delivered <= time.monotonic()
        assert (passage.fate, passage.cause, passage.sent) == ("passed", "", True)


def test_each_side_takes_the_wire_for_the_other(ends: Ends) -> None:
    ends.send(1, 2)
    assert ends.peer.recvfrom(4096)[1] == ends.wire.peer_side
    assert ends.agent.recvfrom(4096)[1] == ends.wire.agent_side


def test_a_side_that_moves_is_followed(ends: Ends) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as moved:
        moved.settimeout(PATIENCE)
        moved.sendto(message(1), ends.wire.agent_side)
        assert ends.at_peer() == [message(1)]
        ends.send(2)
        assert moved.recv(4096) == message(2)


def test_drop(ends: Ends) -> None:
    ends.wire.add(drop(At(3)))
    ends.send(3, 3, 1)
    assert ends.at_peer(2) == [message(3), message(1)]
    ends.nothing_more()
    assert ends.fates() == ["dropped", "passed", "passed"]
    first = ends.wire.passages[0]
    assert first.delivered == [] and first.cause == "dropped: message 3"


def test_duplicate(ends: Ends) -> None:
    ends.wire.add(duplicate(At(1), copies=2))
    ends.send(1)
    assert ends.at_peer(3) == [message(1)] * 3
    ends.nothing_more()
    assert len(ends.wire.passages[0].delivered) == 3


def test_delay(ends: Ends) -> None:
    ends.wire.add(delay(At(1), 0.2))
    ends.send(1, 3)
    assert ends.at_peer(2) == [message(3), message(1)]
    passage = ends.wire.passages[0]
    deadline = time.monotonic() + 5
    while not passage.delivered and time.monotonic() < deadline:
        time.sleep(0.005)  # it is noted once it was sent
    assert passage.delivered[0][0] - passage.t >= 0.2


def test_reorder(ends: Ends) -> None:
    ends.wire.add(reorder(At(1), until=5))
    ends.send(1, 3, 6, 5)
    assert ends.at_peer(3) == [message(3), message(5), message(1)]
    assert ends.at_agent() == [message(6)]
    ends.nothing_more()


def test_corrupt(ends: Ends) -> None:
    ends.wire.add(corrupt(At(5)), corrupt(At(5), offset=-1, mask=0x80))
    ends.send(5, 5)
    first, second = ends.at_peer(2)
    assert len(first) == len(message(5))
    assert sum(a != b for a, b in zip(first, message(5), strict=True)) == 1
    assert second == message(5)[:-1] + bytes([message(5)[-1] ^ 0x80])
    assert ends.fates() == ["corrupted", "corrupted"]


def test_truncate(ends: Ends) -> None:
    ends.wire.add(truncate(At(4), 27))
    ends.send(4)
    assert ends.at_agent() == [message(4)[:27]]


def test_rewrite(ends: Ends) -> None:
    ends.wire.add(rewrite(At(1), lambda data: data[:28] + b"another"))
    ends.send(1)
    assert ends.at_peer() == [message(1)[:28] + b"another"]
    assert ends.wire.passages[0].data == message(1)


def test_replay(ends: Ends) -> None:
    ends.wire.add(replay(At(5)), replay(At(0), 3))
    ends.send(1, 2, 3, 5, 0)
    order = [message(number) for number in (1, 3, 5, 1, 3, 0, 3)]
    assert ends.at_peer(7) == order
    assert ends.at_agent() == [message(2)]
    ends.nothing_more()
    assert [passage.number for passage in ends.wire.passages if not passage.sent][:3] == [1, 3, 3]


def test_inject(ends: Ends) -> None:
    ends.wire.add(
        inject(At(3), lambda data: [b"one", data[:5]], before=True),
        inject(At(5), lambda data: [b"back"], back=True),
    )
    ends.send(3, 5)
    assert ends.at_peer(4) == [b"one", message(3)[:5], message(3), message(5)]
    assert ends.at_agent() == [b"back"]
    ends.nothing_more()
    assert sorted(ends.fates()) == ["injected"] * 3 + ["passed"] * 2


def test_selection_by_count_direction_and_state(ends: Ends) -> None:
    ends.wire.add(
        drop(At(1, first=2, times=2)),
        drop(At(direction=TO_AGENT)),
        drop(At(reached=5, times=None)),
    )
    ends.send(1, 1, 1, 1)
    assert ends.at_peer(2) == [message(1)] * 2
    ends.send(2, 4)
    assert ends.at_agent() == [message(4)]
    ends.send(5)
    assert ends.at_peer() == [message(5)]
    ends.send(6, 0)
    # A rule that does not match any more is not in the way of those behind it.
    while len(ends.wire.passages) < 9:
        time.sleep(0.01)
    ends.nothing_more()
    assert ends.fates() == [
        "passed",
        *["dropped"] * 2,
        *["passed", "dropped"],
        *["passed"] * 2,
        *["dropped"] * 2,
    ]


def test_the_same_seed_makes_the_same_choices() -> None:
    def lost(seed: int) -> list[str]:
        ends = Ends(seed)
        try:
            ends.wire.add(drop(At(times=None, probability=0.5)))
            ends.send(*[1] * 40)
            while len(ends.wire.passages) < 40:
                time.sleep(0.01)
            return ends.fates()
        finally:
            ends.close()

    once = lost(7)
    assert once == lost(7) != lost(8)
    assert {"dropped", "passed"} == set(once)


def test_a_side_that_is_not_there_is_no_end_of_the_wire() -> None:
    with Wire(seed=1) as wire, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(PATIENCE)
        agent.sendto(message(1), wire.agent_side)
        while not wire.passages or not wire.passages[0].cause:
            time.sleep(0.01)
        assert wire.passages[0].fate == "undeliverable"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            wire.connect(peer=gone.getsockname())
        agent.sendto(message(1), wire.agent_side)  # an ICMP error comes back
        wire.inject(TO_AGENT, b"still there")
        assert agent.recv(4096) == b"still there"


def test_a_socket_that_is_lent_outlives_the_wire() -> None:
    with bound() as lent:
        for _ in range(2):
            with Wire(agent_socket=lent) as wire:
                assert wire.agent_side == lent.getsockname()
        assert lent.fileno() >= 0


def test_the_timeline_is_told(ends: Ends) -> None:
    timeline = Timeline()
    with Wire(peer=ends.peer.getsockname(), timeline=timeline, seed=1) as wire:
        wire.add(drop(At(1)))
        ends.agent.sendto(message(1), wire.agent_side)
        ends.agent.sendto(message(3), wire.agent_side)
        assert ends.at_peer() == [message(3)]
    assert [(each.source, each.text, each.data["fate"]) for each in timeline.entries] == [
        ("udp", "agent->peer message 1 of 32 bytes: dropped (dropped: message 1)", "dropped"),
        ("udp", "agent->peer message 3 of 32 bytes: passed", "passed"),
    ]


def test_numbers_of_what_is_no_message() -> None:
    numbering = Numbering()
    for data in (b"", b"\xff", bytes(27), message(1)[:27]):
        assert numbering.number(data, TO_PEER) is None
    quick = bytearray(message(5))
    quick[18] = 32
    assert numbering.number(bytes(quick), TO_PEER) is None
    assert numbering.number(message(1), TO_AGENT) == 1
    assert numbering.number(bytes(4) + message(5), TO_AGENT) == 5  # behind a non-ESP marker
    assert numbering.number(message(3), TO_PEER) == 4  # who sent message 1 is the initiator


def test_a_rule_says_what_it_is() -> None:
    rule: Rule = drop(At(3, direction=TO_PEER, times=None))
    assert str(rule) == "dropped: message 3, direction agent->peer, times None"
