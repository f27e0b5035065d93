"""The built-in peer's fragments: every order, and what is none."""

import itertools
import struct

import pytest

from ikelet.peers import messages as m
from ikelet.peers.fragments import Reassembly, split

COOKIES = b"initiate", b"respond!"
MESSAGE = m.build_message(COOKIES, m.ID, bytes(i % 251 for i in range(3000)), encrypted=True)


def add(parts: Reassembly, datagram: bytes) -> bytes | None:
    header = m.parse_header(datagram)
    assert (header.first, header.encrypted) == (m.FRAGMENT, False)
    return parts.add(*m.split(header.first, datagram[m.HEADER_SIZE :]))


def fragment(number: int, flags: int, data: bytes, fragment_id: int = 1) -> bytes:
    body = struct.pack(">HBB", fragment_id, number, flags) + data
    payload = struct.pack(">BBH", 0, 0, 4 + len(body)) + body
    return m.build_message(COOKIES, m.FRAGMENT, payload)


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_every_order(order: tuple[int, ...]) -> None:
    datagrams = split(MESSAGE)
    assert len(datagrams) == 3 and max(map(len, datagrams)) <= 1252
    parts = Reassembly()
    found = [add(parts, datagrams[at]) for at in order]
    assert found == [None, None, MESSAGE]


def test_small_messages_are_left_alone() -> None:
    message = m.build_message(COOKIES, m.SA, bytes(100))
    assert split(message) == [message]


def test_another_id_begins_anew() -> None:
    parts = Reassembly()
    assert add(parts, fragment(1, 0, b"old", 7)) is None
    assert add(parts, fragment(2, 1, b"new", 8)) is None
    assert add(parts, fragment(1, 0, b"a ", 8)) == b"a new"


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (fragment(1, 0, b""), "fragment has 4 octets"),
        (fragment(0, 0, b"x"), "number of a fragment is 0"),
        (fragment(1, 2, b"x"), "flags of a fragment are 0x02"),
    ],
)
def test_refused(datagram: bytes, reason: str) -> None:
    with pytest.raises(m.RejectedError, match=reason):
        add(Reassembly(), datagram)


def test_memory_is_bounded() -> None:
    parts = Reassembly()
    for number in range(1, 66):
        assert add(parts, fragment(number, 0, bytes(1000))) is None
    with pytest.raises(m.RejectedError, match="more than a datagram may have"):
        add(parts, fragment(66, 0, bytes(1000)))
