# micropython: heapsize=512k deadline=120
"""Fragments: every order of arrival gives the message, and nothing else gives anything."""

import struct

from cheap import CheapHal
from ike import fragments, wire
from ike import registry as R
from pair import Pair, dropped

CKY_I, CKY_R = b"initiate", b"responds"


def make_message(size):
    content = bytes([i * 7 % 251 for i in range(size - wire.HEADER)])
    return wire.message(CKY_I, CKY_R, R.ID, R.ID_PROT, True, 0, content)


def contents(message, limit=600):
    return [memoryview(part)[wire.HEADER :] for part in fragments.split(message, limit)]


def fragment(number, data, flags=0, fragment_id=1, following=0, reserved=0, length=None):
    length = 8 + len(data) if length is None else length
    return memoryview(
        struct.pack("!BBHHBB", following, reserved, length, fragment_id, number, flags) + data
    )


def test_split():
    for size in (601, 1128, 1129, 4000):
        message = make_message(size)
        parts = list(fragments.split(message, 600))
        assert len(parts) == -(-size // 564)
        assert max([len(part) for part in parts]) <= 600
        for part in parts:
            header = wire.Header(part)
            assert (header.cky_i, header.cky_r, header.first) == (CKY_I, CKY_R, R.FRAGMENT)
            assert not header.encrypted and header.exchange == R.ID_PROT
        assert b"".join([bytes(part[36:]) for part in parts]) == message


def orders(count):
    if count == 1:
        return [[0]]
    return [
        order[:at] + [count - 1] + order[at:] for order in orders(count - 1) for at in range(count)
    ]


def test_every_order():
    message = make_message(2100)
    parts = contents(message)
    assert len(parts) == 4
    for order in orders(4):
        reassembly = fragments.Reassembly()
        found = [reassembly.add(parts[index]) for index in order]
        assert found == [None, None, None, message], order


def test_again():
    message = make_message(1500)
    parts = contents(message)
    reassembly = fragments.Reassembly()
    assert reassembly.add(parts[0]) is None
    assert dropped(reassembly.add, parts[0]) == "fragment-again"
    assert reassembly.add(parts[2]) is None
    assert reassembly.add(parts[2]) is None
    assert reassembly.add(parts[1]) == message
    # The peer repeats all of it: the message comes once more, with its last fragment.
    assert dropped(reassembly.add, parts[0]) == "fragment-again"
    assert dropped(reassembly.add, parts[1]) == "fragment-again"
    assert reassembly.add(parts[2]) == message


def test_a_forged_one_holds_its_place_until_the_honest_one_comes():
    message = make_message(1500)
    parts = contents(message)
    reassembly = fragments.Reassembly()
    reassembly.add(parts[0])
    reassembly.add(parts[1])
    assert reassembly.add(fragment(3, b"forged", 1)) not in (None, message)
    assert reassembly.add(parts[2]) == message
    assert reassembly.add(fragment(1, b"forged", 1)) == b"forged"
    found = [reassembly.add(part) for part in parts]
    assert found == [None, None, message]


def test_another_id_begins_anew():
    message = make_message(1000)
    parts = contents(message)
    reassembly = fragments.Reassembly()
    assert reassembly.add(parts[0]) is None
    assert reassembly.add(fragment(2, b"other", 1, fragment_id=7)) is None
    assert reassembly.add(fragment(1, b"an", fragment_id=7)) == b"another"


def test_refusals():
    add = fragments.Reassembly().add
    for content in (
        memoryview(b""),
        memoryview(bytes(7)),
        fragment(1, b""),  # empty
        fragment(0, b"x"),
        fragment(25, b"x"),
        fragment(255, b"x"),
        fragment(1, b"x", flags=2),
        fragment(1, b"x", following=R.ID),
        fragment(1, b"x", reserved=1),
        fragment(1, b"x", length=8),
        fragment(1, b"x", length=10),
        fragment(1, b"x", length=0),
        fragment(1, b"x", length=0xFFFF),
    ):
        assert dropped(add, content) == "bad-fragment", bytes(content)


def test_nothing_behind_the_last():
    reassembly = fragments.Reassembly()
    assert reassembly.add(fragment(2, b"b", 1)) is None
    assert dropped(reassembly.add, fragment(3, b"c")) == "fragment-behind-last"
    # A last one nearer takes away what then lies behind it.
    reassembly = fragments.Reassembly()
    assert reassembly.add(fragment(4, b"d")) is None
    assert reassembly.add(fragment(2, b"b", 1)) is None
    assert reassembly.add(fragment(1, b"a")) == b"ab"


def test_bounded_memory():
    reassembly = fragments.Reassembly()
    for number in range(1, 9):
        assert reassembly.add(fragment(number, bytes(1000))) is None
    assert dropped(reassembly.add, fragment(9, bytes(193))) == "fragments-too-large"
    assert reassembly.add(fragment(1, b"whole", 1)) == b"whole"


def test_an_established_sa_keeps_none_for_long():
    """A message of the exchange may come again for a while, in fragments; then nothing does."""
    pair = Pair(*({"crypto": CheapHal(seed), "dpd": 0} for seed in (b"i", b"r")))
    pair.connect()
    sa = pair.r.sas[0]
    sa.peer.capable = ("fragmentation",)
    pair.clock.now = 20000
    for _ in range(2):
        for number in range(1, 25):
            content = bytes(fragment(number, bytes(340)))
            pair.give("r", wire.message(sa.cky_i, sa.cky_r, R.FRAGMENT, 2, False, 0, content))
        assert (sa.reassembly is None) == (pair.clock.now > 20000)
        pair.clock.now += 10000
        pair.r.poll(pair.clock.now)
        assert sa.reassembly is None
    assert pair.r.drops.by_reason == {"already-established": 24}
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
