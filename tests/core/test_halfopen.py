# micropython: heapsize=3m deadline=120
"""Floods of first messages: places, memory and work are bounded, and honest peers get in."""

import struct

from cheap import CheapHal
from ike import halfopen, wire
from ike import registry as R
from ike.engine import Engine
from ike.exchange import STALE_MS
from ike.policy import Peer
from malformed import SA, VID, changed, of_parts, sa_body, with_attribute
from pair import INITIATOR, PSK, RESPONDER, SUITE, Clock, Pair, make_engine

FLOOD = 600


def cheap_pair():
    return Pair({"crypto": CheapHal(b"i")}, {"crypto": CheapHal(b"r")})


def flood(number, lifetime=28800):
    """A valid first message of somebody, each with another cookie."""
    attrs = [(1, 7), (14, 256), (2, 4), (3, 1), (4, 14), (11, 1), (12, lifetime)]
    body = wire.sa_body((wire.transform(1, attrs, False),))
    chain = wire.chain([(R.SA, body)])
    cookie = b"fl" + number.to_bytes(6, "big")
    return wire.message(cookie, bytes(8), R.SA, R.ID_PROT, False, 0, chain)


def displace(pair, cookie, number=100):
    """First messages, from a number on, until an exchange has lost its place at the responder."""
    while any(sa.cky_i == cookie for sa in pair.r.sas):
        pair.give("r", flood(number))
        number += 1


def hub(peers):
    """A responder with so many peers, 10.9.1.1 and on."""
    configured = [
        Peer("p%d" % n, "10.9.1.%d" % n, PSK, "10.9.0.1", "10.9.1.%d" % n, [SUITE],
             role="responder", retransmit="fast")
        for n in range(1, peers + 1)
    ]  # fmt: skip
    return Engine(CheapHal(b"hub"), configured, RESPONDER, Clock())


def exchange(responder, address):
    """Main Mode with a hub from one of its peers' addresses: whether it is established."""
    clock = Clock()
    branch = make_engine((address, 500), RESPONDER, "initiator", clock, CheapHal(b"branch"))
    branch.initiate("gw", 0)
    for _ in range(10):
        for path, datagram in branch.take_datagrams():
            responder.receive(datagram, path[2:] + path[:2], 0)
        while responder.poll(0):
            pass
        for path, datagram in responder.take_datagrams():
            if path[2] == address:
                branch.receive(datagram, path[2:] + path[:2], 0)
    return bool(branch.sas) and branch.sas[0].state == "ESTABLISHED"


def test_a_flood_from_strangers_costs_nothing():
    pair = cheap_pair()
    done = dict(pair.r.hal.done)
    for number in range(FLOOD):
        stranger = ("10.%d.%d.7" % (number % 200, number % 251), 500 + number % 9)
        pair.r.receive(flood(number), RESPONDER + stranger, 0)
    assert pair.r.drops.by_reason == {"unknown-peer": FLOOD}
    assert pair.r.sas == [] and pair.collect("r") == []
    assert pair.r.hal.done == done  # not so much as a hash
    pair.connect()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_a_flood_in_the_name_of_the_peer():
    """The honest exchange gets in at every step, and no Diffie-Hellman is done for the others."""
    for begun in range(6):
        pair = cheap_pair()
        pair.i.initiate("gw", 0)
        pair.settle(begun)
        before = len(pair.log)
        received = sent = 0
        for number in range(FLOOD):
            datagram = flood(number)
            received += len(datagram)
            pair.give("r", datagram)
            assert len(pair.r.sas) <= halfopen.PLACES + 2
        kept, pair.pending = pair.pending, []
        sent = sum([len(datagram) for datagram in pair.collect("r")])
        pair.pending = kept
        assert sent <= received
        done = pair.r.hal.done.get("modexp", 0)
        assert done <= (2 if begun > 2 else 0)
        pair.settle()
        for _ in range(40):
            pair.clock.now += 100
            pair.settle()
        assert pair.states()[0] == "ESTABLISHED", begun
        assert "ESTABLISHED" in [sa.state for sa in pair.r.sas]
        assert len(pair.log) > before


def test_a_flood_of_different_offers():
    """Once authenticated, a peer gets in whatever else is offered in his name."""
    pair = cheap_pair()
    pair.connect()
    for round_ in range(3):
        pair.i.terminate("gw")
        pair.settle()
        pair.i.initiate("gw", pair.clock.now)
        pair.settle(2)
        for number in range(FLOOD // 4):
            pair.give("r", flood(number, 60 + number))
        assert len(pair.r.firsts) <= halfopen.FIRSTS
        pair.collect("r")
        pair.pending = [entry for entry in pair.pending if entry[0] == "i"]
        pair.settle()
        assert pair.states()[0] == "ESTABLISHED", round_
        pair.clock.now += 60000
        pair.settle()


def test_memory_for_first_messages_is_bounded():
    pair = cheap_pair()
    attrs = [(1, 7), (14, 256), (2, 4), (3, 1), (4, 14), (11, 1), (12, 28800)]
    for number in range(100):
        transforms = [wire.transform(1, attrs, True)] * 25 + [wire.transform(number, attrs, False)]
        chain = wire.chain([(R.SA, wire.sa_body(transforms))])
        cookie = b"large" + number.to_bytes(3, "big")
        pair.give("r", wire.message(cookie, bytes(8), R.SA, R.ID_PROT, False, 0, chain))
        assert sum([len(f.content) for f in pair.r.firsts]) <= halfopen.FIRSTS_BYTES
    assert pair.r.drops.by_reason == {"half-open-replaced": 100 - halfopen.PLACES}
    assert pair.r.firsts
    pair.clock.now = 200000
    pair.give("r", flood(1))
    assert len(pair.r.sas) == halfopen.PLACES
    assert any(len(f.content) < 200 for f in pair.r.firsts)  # the old ones made room


def test_a_flood_is_not_told_message_by_message():
    """The serial line is slower than the network."""
    pair = cheap_pair()
    for second in range(3):
        for number in range(100):
            pair.give("r", flood(100 * second + number))
            pair.collect("r")
        pair.clock.now += 1000
    told = [e for e in pair.events["r"] if e["event"] == "message"]
    assert len(told) == 3 * 2 * halfopen.MAX_TOLD
    pair.pending = []
    del pair.events["r"][:]
    pair.connect()
    numbers = [e["number"] for e in pair.events["r"] if e["event"] == "message"]
    assert numbers == [1, 2, 3, 4, 5, 6]


def without_vendor_ids(message):
    return of_parts(message, [(SA, sa_body(message))])


def two_offers(spoofed_first, spoof):
    """A pair whose initiator, as others do, takes one message 2 only; another message 1 in its
    name beside its own. Whether both sides come up, with the suite that each has."""
    both = {"proposals": [SUITE, "aes128-sha256-modp2048"]}
    pair = Pair(dict(both, crypto=CheapHal(b"i")), dict(both, crypto=CheapHal(b"r")))
    pair.i.initiate("gw", 0)
    sa = pair.i.sas[0]
    sa.sent = without_vendor_ids(sa.sent)
    pair.collect("i")
    pair.pending = []
    spoofed = spoof(sa.sent)
    for message in (spoofed, sa.sent) if spoofed_first else (sa.sent, spoofed):
        pair.give("r", message)
    answers = pair.collect("r")
    assert len(answers) == 1 and pair.r.drops.by_reason == {"another-offer": 1}
    pair.settle()
    return pair


def test_of_different_offers_under_one_cookie_one_is_answered():
    """Whichever comes first; HASH says which of them was the peer's."""
    for first in (False, True):
        for spoof in (
            lambda m: of_parts(m, [(SA, sa_body(m)), (VID, b"who knows")]),
            lambda m: changed(m, 19, 2),
            # The second transform says something else, that is not chosen.
            lambda m: changed(m, len(m) - 1, m[-1] ^ 1),
        ):
            pair = two_offers(first, spoof)
            assert pair.states() == ("ESTABLISHED", "ESTABLISHED"), first
            assert pair.last("r", "established")["suite"] == SUITE


def test_another_offer_once_the_first_has_lost_its_place():
    pair = cheap_pair()
    pair.i.initiate("gw", 0)
    sa = pair.i.sas[0]
    sa.sent = own = bytes(without_vendor_ids(sa.sent))
    pair.collect("i")
    pair.give("r", own)
    answer = pair.collect("r")[0]
    number = 0
    while any(sa.cky_i == own[:8] for sa in pair.r.sas):
        pair.give("r", flood(number, 3600 + number))
        number += 1
    pair.collect("r")
    pair.give("r", with_attribute(own, 12, 3600))
    assert pair.collect("r") == [] and pair.r.drops.by_reason["another-offer"] == 1
    # The same again is answered as it was.
    pair.give("r", own)
    assert pair.collect("r") == [answer]
    pair.pending = [("r", answer)]
    assert pair.settle() is None and pair.states()[0] == "ESTABLISHED"


def overtaken(pair, spoof, lost):
    """A peer that was authenticated before begins again. Somebody's offer in its exchange comes
    first, is answered, not remembered, and may be `lost`: the peer takes the answer."""
    pair.connect()
    pair.i.terminate("gw")
    pair.settle()
    for number in range(2 * halfopen.FIRSTS):  # no room to remember any more
        pair.give("r", flood(number, 3600 + number))
    pair.collect("r")
    pair.pending = []
    pair.i.initiate("gw", pair.clock.now)
    own = without_vendor_ids(pair.collect("i")[0])
    pair.i.sas[0].sent = own
    pair.give("r", spoof(own))
    answer = pair.collect("r")[0]
    pair.give("r", own)
    assert pair.r.drops.by_reason["another-offer"] == 1
    if lost:
        displace(pair, own[:8])
    pair.collect("r")
    pair.pending = [("r", with_attribute(answer, 12, 28800))]


def test_an_answer_to_an_offer_that_nobody_remembers():
    """The exchange goes on all the same: the peer's HASH is over what it was known by."""
    for spoof, lost in (
        (lambda m: of_parts(m, [(SA, sa_body(m)), (VID, b"who knows")]), True),
        (lambda m: with_attribute(m, 12, 600), True),
        (lambda m: with_attribute(m, 12, 600), False),
    ):
        pair = cheap_pair()
        overtaken(pair, spoof, lost)
        known = [first for first in pair.r.firsts if first.since is None]
        del pair.events["r"][:]
        pair.settle()
        assert pair.states()[0] == "ESTABLISHED"
        theirs = [sa for sa in pair.r.sas if sa.state == "ESTABLISHED"]
        assert [sa.ka for sa in theirs] == [pair.i.sas[0].ka]
        # What somebody offered is not what the two agreed upon.
        assert theirs[0].lives == (28800, 0)
        assert pair.last("r", "established")["lifetime"] == 28800
        assert len(known) == 1 and [f for f in pair.r.firsts if f.since is None] == known
        pair.i.terminate("gw")
        pair.settle()
        assert not [sa for sa in pair.r.sas if sa.state == "ESTABLISHED"]


def test_an_exchange_that_no_hash_can_end_is_not_brought_back():
    pair = cheap_pair()
    pair.i.initiate("gw", 0)
    pair.settle(2)
    third = pair.pending.pop()[1]
    pair.r.sas.clear()
    pair.r.firsts = []
    pair.give("r", third)
    assert pair.r.drops.by_reason == {"unknown-cookie": 1} and pair.r.sas == []


def test_others_that_begin_alike_do_not_keep_an_exchange_away():
    """Of different offers, remembered before the peer's, with the bits that our cookie holds."""
    pair = cheap_pair()
    pair.i.initiate("gw", 0)
    own = without_vendor_ids(pair.collect("i")[0])
    pair.i.sas[0].sent = own
    bits = pair.r.digest(own[8:])[0] & 127
    dpd = R.VENDOR_IDS["dpd"]
    for ground, parts in (
        (1, [(VID, dpd)]),  # other flags
        (2, [(R.KE, bytes(64))]),  # no message 1, though it is remembered behind another
    ):
        number = 0
        while True:
            spoofed = of_parts(own, [(SA, sa_body(own))] + parts + [(VID, b"%d" % number)])
            if pair.r.digest(spoofed[8:])[0] & 127 == bits:
                break
            number += 1
        before = flood(ground, 3600)
        pair.give("r", before)
        spoofed = before[:8] + spoofed[8:]
        pair.give("r", spoofed)
    pair.collect("r")
    assert len(pair.r.firsts) == 3
    pair.give("r", own)
    answer = pair.collect("r")[0]
    displace(pair, own[:8])
    pair.collect("r")
    pair.pending = [("r", answer)]
    pair.r.peers[0].capable = ("dpd",)
    pair.settle()
    assert pair.states()[0] == "ESTABLISHED"


def test_a_cookie_says_what_was_chosen():
    """Brought back without its message 1, an exchange is as it was."""
    suites = ["aes256-sha256-modp4096", "aes128-sha512-modp2048", SUITE]
    for dpd in (0, 30):
        side = {"proposals": suites, "dpd": dpd, "natt": True}
        pair = Pair(dict(side, crypto=CheapHal(b"i")), dict(side, crypto=CheapHal(b"r")))
        pair.i.peers[0].suites = pair.i.peers[0].suites[2:]
        pair.i.initiate("gw", 0)
        pair.settle(2)
        before = pair.r.sas.pop()
        third = pair.pending.pop()[1]
        before.first.tag = b"\xff\xff\xff\xff" if before.first.tag[0] < 128 else bytes(4)
        pair.give("r", third)
        after = pair.r.sas[-1]
        for name in ("suite", "capable", "asked", "cky_r", "peer"):
            assert getattr(after, name) == getattr(before, name), name
        assert after.capable == ({"natt", "dpd"} if dpd else {"natt"})
        pair.settle()
        assert pair.states()[0] == "ESTABLISHED"


def test_offers_whose_digests_begin_alike_have_cookies_of_their_own():
    pair = cheap_pair()
    pair.i.initiate("gw", 0)
    own = pair.collect("i")[0]
    pair.give("r", own)
    bits = pair.r.sas[0].cky_r[1]
    number = 0
    while True:
        other = of_parts(own, [(SA, sa_body(own)), (VID, R.SEVERAL), (VID, b"%d" % number)])
        tag = pair.r.digest(other[8:])
        if tag[0] & 127 == bits & 127:
            break
        number += 1
    pair.give("r", other)
    cookies = [bytes(sa.cky_r) for sa in pair.r.sas]
    assert len(set(cookies)) == 2 and pair.r.drops.by_reason == {}
    pair.collect("r")
    pair.pending = []


def test_an_answered_cookie_is_known_though_its_exchange_was_given_up():
    """And though there was no room to remember its offer: a second answer would end the peer's."""
    pair = cheap_pair()
    for number in range(2 * halfopen.FIRSTS):
        pair.give("r", flood(number, 3600 + number))
    pair.collect("r")
    own = flood(1000, 7200)
    pair.give("r", own)
    answer = pair.collect("r")[0]
    displace(pair, own[:8])
    pair.collect("r")
    pair.give("r", with_attribute(own, 12, 3600))
    assert pair.collect("r") == [] and pair.r.drops.by_reason["another-offer"] == 1
    pair.give("r", own)  # the same is answered as it was
    assert pair.collect("r") == [answer]
    pair.clock.now = halfopen.ANOTHER_MS + 1000
    for number in range(3000, 3000 + halfopen.PLACES):
        pair.give("r", flood(number))
    displace(pair, own[:8], 4000)
    pair.collect("r")
    pair.give("r", with_attribute(own, 12, 3600))
    assert len(pair.collect("r")) == 1
    pair.pending = []


def test_offers_that_are_both_answered_make_one_sa():
    """An initiator that takes several answers goes on with each."""
    pair = cheap_pair()
    pair.i.initiate("gw", 0)
    own = pair.collect("i")[0]
    spoofed = of_parts(own, [(SA, sa_body(own)), (VID, R.SEVERAL), (VID, b"who knows")])
    pair.give("r", spoofed)
    pair.give("r", own)
    answers = [bytes(datagram) for datagram in pair.collect("r")]
    assert len({datagram[8:16] for datagram in answers}) == 2
    pair.pending = [("r", datagram) for datagram in answers]
    pair.settle()
    for pair.clock.now in range(100, 2000, 100):
        pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert len(pair.i.sas) == len(pair.r.sas) == 1
    assert pair.i.sas[0].ka == pair.r.sas[0].ka


def test_a_weaker_offer_is_not_vouched_for():
    """HASH over the peer's offer does not confirm what was chosen from somebody else's."""

    def weaker(message):
        whole = sa_body(message)
        body = bytearray(whole[:16] + whole[52:])  # without the first transform
        body[8 + 2 : 8 + 4] = struct.pack("!H", len(body) - 8)
        body[8 + 7] = 1
        return of_parts(message, [(SA, bytes(body))])

    pair = two_offers(True, weaker)
    assert pair.r.sas[0].suite.name == "aes128-sha256-modp2048"
    assert pair.states() == ("MAIN_I3", "MAIN_R2")
    assert pair.r.drops.by_reason["bad-hash"] >= 1


def test_the_other_offer_is_answered_after_a_while():
    pair = two_offers(True, lambda m: with_attribute(m, 12, 3600))
    assert pair.states()[0] == "MAIN_I1"  # what it was answered is not what it offered
    pair.clock.now = halfopen.ANOTHER_MS
    pair.settle()
    pair.settle()
    assert pair.states()[0] == "ESTABLISHED"


def test_no_notify_about_damage_to_the_peers_own_message():
    """Some initiators believe it, and give up."""
    for before in (False, True):
        pair = cheap_pair()
        pair.i.initiate("gw", 0)
        message = pair.collect("i")[0]
        if before:
            pair.give("r", message)
        else:
            pair.give("r", b"noise")
        pair.collect("r")
        pair.give("r", with_attribute(message, 4, 2))
        assert pair.r.drops.by_reason["no-proposal-chosen"] == 1
        assert pair.collect("r") == []


def test_every_peer_has_places_of_its_own():
    for peers in (2, 8):
        responder = hub(peers)
        for number in range(FLOOD // 4):
            responder.receive(flood(number), RESPONDER + ("10.9.1.1", 500), 0)
        responder.take_datagrams()
        places = max(halfopen.RESERVED, halfopen.PLACES // peers)
        assert len(responder.sas) == places
        for n in range(2, peers + 1):
            assert exchange(responder, "10.9.1.%d" % n), n
        assert exchange(responder, "10.9.1.1")


WENT_ON = halfopen.PLACES // 2


def third_to(second):
    """A message 3 of somebody who got this message 2."""
    bodies = [(R.KE, b"\7" * 256), (R.NONCE, bytes(32))]
    return wire.message(second[:8], second[8:16], R.KE, 2, False, 0, wire.chain(bodies))


def gone_on():
    """A pair whose responder has as many exchanges past message 3 as there may be."""
    pair = cheap_pair()
    for number in range(WENT_ON):
        pair.give("r", flood(number))
    for _, datagram in list(pair.r.take_datagrams()):
        pair.give("r", third_to(datagram))
    pair.collect("r")
    pair.pending = []
    assert [sa.state for sa in pair.r.sas if not sa.spare] == ["MAIN_R2"] * WENT_ON
    return pair


def test_the_oldest_of_those_that_went_on_makes_room():
    """Once it is stale: not while its peer may still be at it. Until then message 3 is not
    answered, so that its sender repeats it."""
    pair = gone_on()
    oldest = pair.r.sas[0].cky_i
    pair.i.initiate("gw", 0)
    pair.settle(3)
    assert pair.states()[0] == "MAIN_I2" and pair.r.drops.by_reason == {"too-many-half-open": 1}
    assert len(pair.r.sas) == 2 * WENT_ON + 1
    for sa in pair.r.sas:
        sa.started -= STALE_MS - 1
    pair.clock.now = 500
    pair.settle()
    assert pair.states()[0] == "ESTABLISHED"
    assert pair.r.drops.by_reason["half-open-replaced"] == 1
    assert not any(sa.cky_i == oldest for sa in pair.r.sas)
    assert len([sa for sa in pair.r.sas if sa.spare]) == WENT_ON - 1


def test_a_message_3_that_is_refused_takes_no_place():
    pair = gone_on()
    for sa in pair.r.sas:
        sa.started -= STALE_MS
    before = list(pair.r.sas)
    pair.give("r", flood(98))
    third = third_to(pair.collect("r")[0])
    pair.pending = []
    pair.give("r", changed(third, 32, *bytes(256)))  # a public value of 0
    assert pair.r.drops.by_reason == {"bad-ke-value": 1}
    assert all(sa in pair.r.sas for sa in before)
    pair.give("r", third)
    assert pair.r.drops.by_reason["half-open-replaced"] == 1


def test_places_of_exchanges_that_went_on_are_not_taken():
    """Only who receives our packets gets past message 2; his places end by their timers."""
    pair = gone_on()
    there = list(pair.r.sas)
    for number in range(FLOOD):
        pair.give("r", flood(100 + number))
    assert all(sa in pair.r.sas for sa in there)
    assert len(pair.r.sas) == len(there) + halfopen.PLACES - WENT_ON
    for _ in range(halfopen.PLACES + 1):
        pair.r.poll(30000)
    pair.collect("r")
    assert pair.r.sas == []
    pair.pending = []
    pair.clock.now = 30000
    pair.connect()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_a_first_message_that_is_refused_takes_no_place():
    pair = cheap_pair()
    for number in range(halfopen.PLACES):
        pair.give("r", flood(number))
    waiting = list(pair.r.sas)
    good = flood(99)
    pair.give("r", good[:16] + bytes([R.KE]) + good[17:])
    assert pair.r.drops.by_reason == {"unexpected-payload": 1}
    assert all(sa in pair.r.sas for sa in waiting)
    pair.give("r", good)
    assert pair.r.drops.by_reason["half-open-replaced"] == 1
    assert len(pair.r.sas) == halfopen.PLACES


def test_an_answer_is_never_longer_than_message_1():
    """Not even where we have more to announce than the other side."""
    pair = cheap_pair()
    pair.r.peers[0].capable = tuple(R.VENDOR_IDS)
    first = flood(1)
    pair.give("r", first)
    assert len(pair.collect("r")[0]) <= len(first)


def test_the_peers_address_and_role_decide_who_is_answered():
    pair = cheap_pair()
    pair.i.receive(flood(1), INITIATOR + RESPONDER, 0)
    assert pair.i.drops.by_reason == {"not-responder": 1}
    assert pair.i.sas == []
