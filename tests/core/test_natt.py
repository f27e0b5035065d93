# micropython: heapsize=1m deadline=120
"""NAT traversal: detection both ways, port 4500, markers, keepalives, mappings that change."""

import struct

from cheap import CheapHal
from ike import natt, wire
from ike import registry as R
from pair import Clock, changed, make_engine

OUTSIDE = "203.0.113.7"  # the NAT's address
BRANCH = ("192.168.1.2", 500)
OFFICE = ("198.51.100.1", 500)


class Nat:
    """A branch behind a NAT, or not, and an office, or the other way round."""

    def __init__(self, inside=True, natted=True, branch=None, office=None, addresses=None):
        self.clock = Clock()
        self.natted = natted
        self.branch, self.office = addresses or (BRANCH, OFFICE)
        seen = OUTSIDE if natted else self.branch[0]
        values = {"natt": True, "dpd": 60, "remote_id": self.office[0]}
        values.update(branch or {})
        self.i = make_engine(
            self.branch, self.office, "initiator", self.clock, CheapHal(b"i"), **values
        )
        values = {"natt": True, "dpd": 60, "remote_id": self.branch[0]}
        values.update(office or {})
        self.r = make_engine(
            self.office, (seen, 500), "both", self.clock, CheapHal(b"r"), **values
        )
        self.i.natt_port = self.r.natt_port = 4500
        self.mappings = {}  # inside port: outside port
        self.next_port = 40000
        self.log = []  # (from branch?, path, datagram)
        self.lost = []

    def turn(self, times=30):
        for _ in range(times):
            for engine in (self.i, self.r):
                while engine.poll(self.clock.now):
                    pass
            for path, datagram in self.i.take_datagrams():
                self.log.append((True, path, bytes(datagram)))
                source = path[:2]
                if self.natted:
                    if path[1] not in self.mappings:
                        self.mappings[path[1]] = self.next_port
                        self.next_port += 1
                    source = (OUTSIDE, self.mappings[path[1]])
                self.r.receive(datagram, path[2:] + source, self.clock.now)
            for path, datagram in self.r.take_datagrams():
                self.log.append((False, path, bytes(datagram)))
                inside = {outside: port for port, outside in self.mappings.items()}
                if not self.natted:
                    self.i.receive(datagram, path[2:] + path[:2], self.clock.now)
                elif path[2] == OUTSIDE and path[3] in inside:
                    there = (self.branch[0], inside[path[3]])
                    self.i.receive(datagram, there + path[:2], self.clock.now)
                else:
                    self.lost.append(path)

    def connect(self):
        self.i.initiate("gw", 0)
        self.turn()
        return self

    def states(self):
        return [[sa.state for sa in engine.sas] for engine in (self.i, self.r)]


UP = [["ESTABLISHED"], ["ESTABLISHED"]]


def test_a_branch_behind_a_nat():
    nat = Nat().connect()
    assert nat.states() == UP
    assert nat.i.sas[0].natt == "us " and nat.r.sas[0].natt == "peer "
    ports = [path[1] for _, path, _ in nat.log[:6]]
    assert ports == [500, 500, 500, 500, 4500, 4500]
    for _, path, datagram in nat.log:
        assert (datagram[:4] == natt.MARKER) == (path[1] == 4500)
    assert nat.r.sas[0].path == OFFICE[:1] + (4500, OUTSIDE, nat.mappings[4500])
    assert nat.i.drops.by_reason == nat.r.drops.by_reason == {}


def third(nat):
    """Messages 1 and 2 pass: message 3, and the path on which it comes."""
    nat.i.initiate("gw", 0)
    nat.mappings[500] = 40000
    nat.next_port = 40001
    there = OFFICE + (OUTSIDE, 40000)
    for _, datagram in nat.i.take_datagrams():
        nat.r.receive(datagram, there, 0)
    for _, datagram in nat.r.take_datagrams():
        nat.i.receive(datagram, BRANCH + OFFICE, 0)
    return nat.i.take_datagrams()[0][1], there


def test_a_spoofed_message_3_beside_one_through_a_nat():
    """Message 5 comes on another port than what it belongs to: with a spoofed message 3 that shows
    the NAT, or none."""
    for shown in (True, False):
        nat = Nat()
        message, path = third(nat)
        spoofed = bytes(changed(message, 99, message[99] ^ 1))
        if not shown:
            found = wire.payloads(memoryview(message)[wire.HEADER :], message[16])
            parts = [(kind, bytes(body)) for kind, body, _ in found if kind != R.NAT_D]
            chain = wire.chain(parts)
            spoofed = wire.message(message[:8], message[8:16], R.KE, R.ID_PROT, False, 0, chain)
        nat.r.receive(spoofed, path, 0)
        nat.r.poll(0)
        nat.r.take_datagrams()
        nat.r.receive(message, path, 0)
        for nat.clock.now in range(0, 1000, 50):
            nat.turn(2)
        assert nat.states() == UP, (shown, nat.r.drops.by_reason)
        assert nat.i.sas[0].ka == nat.r.sas[0].ka
        assert nat.r.sas[0].path[3] == nat.mappings[4500]


def test_messages_of_before_the_move_come_again():
    """From port 500 to port 500: they are what they were, and cost no Diffie-Hellman."""
    nat = Nat()
    message, path = third(nat)
    nat.r.receive(message, path, 0)
    fourth = nat.r.take_datagrams()[0][1]
    nat.i.receive(fourth, BRANCH + OFFICE, 0)
    for _ in range(4):
        nat.i.receive(fourth, BRANCH + OFFICE, 0)
    assert nat.i.drops.by_reason == {"duplicate": 4}
    for nat.clock.now in range(0, 500, 50):
        nat.turn(2)
    assert nat.states() == UP
    assert nat.i.hal.done["modexp"] == nat.r.hal.done["modexp"] == 2
    later = [datagram for branch, _, datagram in nat.log if branch]
    assert later and all(datagram[:4] == natt.MARKER for datagram in later)


def test_no_nat_no_change():
    nat = Nat(natted=False).connect()
    assert nat.states() == UP
    assert nat.i.sas[0].natt == "" and nat.r.sas[0].natt == ""
    assert all(path[1] == 500 for _, path, _ in nat.log)


def test_an_office_behind_a_nat_is_seen_too():
    """The branch calls the NAT's address, which forwards to an office that has another."""
    nat = Nat(natted=False)
    inner = ("10.1.1.1", 500)
    nat.r.local = inner
    nat.i.initiate("gw", 0)
    for _ in range(20):
        for engine in (nat.i, nat.r):
            while engine.poll(0):
                pass
        for path, datagram in nat.i.take_datagrams():
            nat.r.receive(datagram, (inner[0], path[3]) + path[:2], 0)
        for path, datagram in nat.r.take_datagrams():
            assert path[0] == inner[0]
            nat.i.receive(datagram, path[2:] + (OFFICE[0], path[1]), 0)
    assert nat.states() == UP
    assert nat.i.sas[0].natt == "peer " and nat.r.sas[0].natt == "us "
    assert (nat.i.sas[0].path[1], nat.i.sas[0].path[3]) == (4500, 4500)


def test_either_side_without_it():
    for sides in (({"natt": False}, {}), ({}, {"natt": False})):
        nat = Nat(True, True, *sides).connect()
        assert nat.states() == UP
        assert nat.i.sas[0].natt is None and nat.r.sas[0].natt is None
        assert all(path[1] == 500 for _, path, _ in nat.log)
        for _, _, datagram in nat.log[2:4]:
            header = wire.Header(datagram)
            kinds = [k for k, _, _ in wire.payloads(memoryview(datagram)[28:], header.first)]
            assert R.NAT_D not in kinds


def test_keepalives_from_behind_the_nat():
    nat = Nat(True, True, {"dpd": 0}, {"dpd": 0}).connect()
    before = len(nat.log)
    for _ in range(10):
        nat.clock.now += 10000
        nat.turn(2)
    sent = [(ours, datagram) for ours, _, datagram in nat.log[before:]]
    assert sent == [(True, natt.KEEPALIVE)] * 5
    assert nat.r.drops.by_reason == {"nat-keepalive": 5}
    assert nat.i.deadline() <= nat.clock.now + 20000


def test_a_mapping_that_changes_is_followed_under_protection_only():
    nat = Nat(True, True, {}, {"dpd": 300}).connect()
    old = nat.r.sas[0].path
    nat.mappings.clear()  # the NAT has forgotten, or was restarted
    # Neither a keepalive nor a replay from elsewhere moves anything.
    fifth = nat.log[4][2]
    for datagram in (natt.KEEPALIVE, fifth, fifth[:40] + bytes(len(fifth) - 40)):
        nat.r.receive(datagram, OFFICE[:1] + (4500, OUTSIDE, 40500), nat.clock.now)
    assert nat.r.sas[0].path == old
    nat.clock.now += 60000
    nat.turn()
    nat.turn()
    assert nat.r.sas[0].path == OFFICE[:1] + (4500, OUTSIDE, nat.mappings[4500])
    assert nat.r.sas[0].path != old
    question = [datagram for ours, _, datagram in nat.log if ours][-1]
    nat.r.receive(question, OFFICE[:1] + (4500, OUTSIDE, 41000), nat.clock.now)
    assert nat.r.sas[0].path[3] == nat.mappings[4500]  # a replayed question moves nothing
    nat.clock.now += 60000
    nat.turn()
    nat.turn()
    assert nat.states() == UP


def test_our_own_question_sent_back_moves_nothing():
    nat = Nat(branch={"dpd": 300}).connect()
    sa = nat.r.sas[0]
    path = sa.path
    nat.clock.now = 60000
    while nat.r.poll(nat.clock.now):
        pass
    ((_, question),) = nat.r.take_datagrams()
    nat.r.receive(question, OFFICE[:1] + (4500, "203.0.113.66", 6666), nat.clock.now)
    assert nat.r.drops.by_reason == {"reflected-dpd": 1}
    assert sa.path == path and sa.dpd.tries == 1


def test_the_office_renews_through_the_mapping():
    nat = Nat(True, True, {"lifetime": 600}, {"lifetime": 600}).connect()
    for _ in range(300):
        nat.clock.now += 10000
        nat.turn(4)
    assert nat.states() == UP
    assert nat.lost == []
    assert nat.r.sas[0].path[3] == nat.mappings[4500]


def test_what_comes_to_port_4500():
    nat = Nat().connect()
    path = OFFICE[:1] + (4500, OUTSIDE, nat.mappings[4500])
    for datagram in (
        b"",
        b"\0\0",
        b"\1\2\3\4" + bytes(40),
        bytes(4),
        bytes(3) + b"\1" + bytes(60),
    ):
        nat.r.receive(datagram, path, 0)
    assert nat.r.drops.by_reason == {"no-marker": 4, "too-short": 1}
    assert nat.states() == UP


def test_wrong_digests_mean_a_nat_and_do_no_harm():
    """NAT-D payloads are not authenticated: forged ones make a detour, nothing else."""
    nat = Nat(natted=False)
    nat.i.initiate("gw", 0)
    honest = natt._digest
    try:
        natt._digest = lambda sa, end: bytes(32) if sa.initiator else honest(sa, end)
        nat.turn()
    finally:
        natt._digest = honest
    assert nat.states() == UP
    assert nat.r.sas[0].natt == "us peer "


def test_ipv6():
    nat = Nat(natted=False, addresses=(("2001:db8::2", 500), ("2001:db8::1", 500))).connect()
    assert nat.states() == UP
    assert nat.i.sas[0].natt == ""
    assert nat.i.peers[0].local_id[0] == R.ID_IPV6


def test_the_digest_is_rfc_3947s():
    nat = Nat()
    nat.i.initiate("gw", 0)
    nat.turn()
    sa = nat.r.sas[0]
    sa.suite = nat.r.peers[0].suites[0]
    expected = nat.r.hal.hash(
        "sha256", sa.cky_i, sa.cky_r, bytes([198, 51, 100, 1]), struct.pack("!H", 500)
    )
    assert natt._digest(sa, ("198.51.100.1", 500)) == expected
