# micropython: heapsize=1m deadline=120
"""One test for each class of flaw that IKEv1 daemons were known for, by a CVE that shows it.

tests/core/test_cpython_cve_mutants.py takes the check of each away, and sees its test fail.
"""

import struct

from cheap import CheapHal
from hal import HalError
from ike import informational, keys, policy, wire
from ike import registry as R
from pair import INITIATOR, RESPONDER, Pair, changed

COOKIES = b"initiateresponds"


def begun(number=0, **changes):
    """A pair with so many messages delivered."""
    pair = Pair(dict(changes, crypto=CheapHal(b"i")), dict(changes, crypto=CheapHal(b"r")))
    pair.i.initiate("gw", 0)
    pair.settle(number)
    for engine in (pair.i, pair.r):
        while engine.poll(0):
            pass
    return pair


def offer(changes=(), extra=b""):
    """A first message; `changes` to its attributes."""
    attrs = [(1, 7), (14, 256), (2, 4), (3, 1), (4, 14), (11, 1), (12, 28800)]
    attrs = [(kind, dict(changes).get(kind, value)) for kind, value in attrs]
    body = wire.sa_body((wire.transform(1, attrs, False),))
    chain = wire.chain([(R.SA, body)]) + extra
    return wire.message(COOKIES[:8], bytes(8), R.SA, R.ID_PROT, False, 0, chain)


def refused(message, reason):
    """The responder drops a first message for that reason, and keeps nothing of it."""
    pair = begun()
    pair.r.receive(message, RESPONDER + INITIATOR, 0)
    assert pair.r.drops.by_reason == {reason: 1}, pair.r.drops.by_reason
    assert pair.r.sas == [] and pair.r.firsts == []
    return pair


def fifth(pair, bodies, first=R.ID):
    """A message 5 with these payloads under the keys of a responder in MAIN_R2."""
    sa = pair.r.sas[0]
    content, _ = keys.crypt(pair.r.hal, sa.suite, sa.ka, sa.iv, wire.chain(bodies, 16), True)
    return wire.message(sa.cky_i, sa.cky_r, first, R.ID_PROT, True, 0, content)


def hash_i(pair, body):
    sa = pair.r.sas[0]
    public = sa.g_xi, sa.g_xr, sa.cky_i, sa.cky_r, sa.sai_b
    return keys.hash_i(pair.r.hal, sa.suite.hash, sa.skeyid, *(public + (body,)))


def under_protection(pair, bodies):
    """An informational message with several payloads from the responder to the initiator."""
    sa = pair.r.sas[0]
    hal = pair.r.hal
    content = bytes(wire.chain(bodies))
    digest = keys.informational_hash(hal, sa.suite, sa.skeyid_a, 7, content)
    iv = keys.exchange_iv(hal, sa.suite, sa.iv, 7)
    plain = wire.chain([(R.HASH, digest)] + bodies, 16)
    content, _ = keys.crypt(hal, sa.suite, sa.ka, iv, plain, True)
    return wire.message(sa.cky_i, sa.cky_r, R.HASH, R.INFORMATIONAL, True, 7, content)


def delete_body(spi):
    return struct.pack("!IBBH", 1, 1, 16, 1) + spi


# --- what is never offered, nor accepted -------------------------------------------------------


def test_public_key_encryption_is_no_method():
    """CVE-2018-0131 and three more: encrypted nonces make Bleichenbacher oracles."""
    pair = begun()
    for method in (2, 4, 5, 65001):
        refused(offer({3: method}), "auth-method-mismatch")
    ours = wire.offer(wire.payloads(memoryview(pair.log[0][1])[28:], R.SA)[0][1])[1]
    assert all((3, 1) in attrs for attrs, _ in ours)


def test_zero_key_size():
    """CVE-2024-3652."""
    refused(offer({14: 0}), "no-proposal-chosen")
    pair = begun(1)
    chosen = [
        (k, 0 if k == 14 else v) for k, v in pair.i.peers[0].suites[0].attributes(1, (28800, 0))
    ]
    body = wire.sa_body((wire.transform(1, chosen, False),))
    chain = wire.chain([(R.SA, body)])
    cky_i = pair.i.sas[0].cky_i
    pair.give("i", wire.message(cky_i, b"whatever", R.SA, 2, False, 0, chain))
    assert pair.i.drops.by_reason == {"attributes-changed": 1}


def test_public_value_zero():
    """CVE-2015-3240: g^x = 0, and the other values that leave no secret."""
    for value in (bytes(256), bytes(255) + b"\1", b"\xff" * 256):
        for number, side in ((2, "r"), (3, "i")):
            pair = begun(number)
            sa = (pair.r if side == "r" else pair.i).sas[0]
            chain = wire.chain([(R.KE, value), (R.NONCE, bytes(32))])
            done = (pair.r if side == "r" else pair.i).hal.done.get("modexp", 0)
            pair.give(side, wire.message(sa.cky_i, sa.cky_r, R.KE, 2, False, 0, chain))
            engine = pair.r if side == "r" else pair.i
            assert engine.drops.by_reason == {"bad-ke-value": 1}
            assert engine.hal.done.get("modexp", 0) == done
            assert not any(line.spare for line in engine.sas if line.state != "MAIN_I1")


# --- lengths -------------------------------------------------------------------------------------


def test_shorter_than_its_header():
    """CVE-2013-4564."""
    message = offer()
    for size in range(28):
        refused(message[:size], "too-short")


def test_lengths_that_reach_beyond_the_message():
    """CVE-2016-6415: nothing is read there, let alone sent back."""
    message = offer()
    refused(changed(message, 30, 255, 255), "payload-overrun")
    refused(changed(message, 50, 255, 255), "bad-transform")
    refused(changed(message, 27, 255), "length-mismatch")
    long_attribute = message[:-4] + struct.pack("!HH", 12, 400)
    refused(long_attribute, "attribute-overrun")
    for pair in (begun(6),):
        sa = pair.r.sas[0]
        spi = sa.cky_i + sa.cky_r
        for body in (
            struct.pack("!IBBH", 1, 1, 255, 14) + spi,
            struct.pack("!IBBH", 1, 1, 16, 14)[:7],
        ):
            pair.give("i", under_protection(pair, [(R.N, body)]))
        assert pair.i.drops.by_reason == {"bad-notify": 2}
        pair.give("i", under_protection(pair, [(R.D, struct.pack("!IBBH", 1, 1, 16, 65535))]))
        assert pair.i.drops.by_reason["bad-delete"] == 1
        assert pair.i.take_datagrams() == []


def test_payload_lengths_of_0_to_3_and_loops():
    """CVE-2004-0218 to 0222, CVE-2005-3732."""
    message = offer()
    for length in range(4):
        refused(changed(message, 30, 0, length), "payload-overrun")
    loop = b"\x0d\0\0\4" * 40  # a chain of empty vendor IDs that never ends
    refused(changed(offer((), loop), 28, R.VID), "too-many-payloads")
    vid = wire.chain([(R.VID, b"no SA here")])
    message = wire.message(COOKIES[:8], bytes(8), R.VID, 2, False, 0, vid)
    refused(message, "missing-payload")


# --- unknown things ------------------------------------------------------------------------------


def test_unknown_situations_and_payloads_are_refused_not_asserted():
    """CVE-2015-3204."""
    for situation in (0, 2, 4, 0xFFFFFFFF):
        message = changed(offer(), 36, *struct.pack("!I", situation))
        refused(message, "bad-situation")
    for kind in (0x1F, 99, 127, 128, 255):
        refused(changed(offer(), 16, kind), "invalid-payload-type")


def test_a_state_that_does_not_exist_is_not_answered():
    """CVE-2020-1763, CVE-2022-23094: notifies and logs about an SA that is not there."""
    pair = begun()
    body = informational.notify_body(14, COOKIES)
    for exchange, encrypted, first, content in (
        (R.INFORMATIONAL, False, R.N, wire.chain([(R.N, body)])),
        (R.INFORMATIONAL, False, R.D, wire.chain([(R.D, delete_body(COOKIES))])),
        (R.INFORMATIONAL, True, R.HASH, bytes(64)),
        (R.ID_PROT, True, R.ID, bytes(64)),
        (R.ID_PROT, False, R.KE, wire.chain([(R.KE, bytes(256)), (R.NONCE, bytes(32))])),
        (32, True, R.HASH, bytes(64)),
    ):
        for msgid in (0, 9):
            head = COOKIES[:8], COOKIES[8:], first
            message = wire.message(*(head + (exchange, encrypted, msgid, content)))
            for side in "ir":
                pair.give(side, message)
    assert pair.collect("r") == []
    pair.collect("i")
    assert pair.events["r"] and all(event["event"] == "drop" for event in pair.events["r"])
    assert pair.r.sas == [] and [sa.state for sa in pair.i.sas] == ["MAIN_I1"]


def test_a_half_made_state_is_not_reached_by_the_next_message():
    """CVE-2023-30570: what a refused message leaves is what was there before it."""
    pair = refused(offer({4: 2}), "no-proposal-chosen")
    third = wire.chain([(R.KE, b"\7" * 256), (R.NONCE, bytes(32))])
    pair.give("r", wire.message(COOKIES[:8], COOKIES[8:], R.KE, 2, False, 0, third))
    assert pair.r.drops.by_reason["unknown-cookie"] == 1
    pair = begun(2)
    before = dict(pair.r.sas[0].__dict__)
    sa = pair.r.sas[0]
    for bodies in ([(R.KE, bytes(256)), (R.NONCE, bytes(32))], [(R.KE, b"\7" * 256)]):
        message = wire.message(sa.cky_i, sa.cky_r, R.KE, 2, False, 0, wire.chain(bodies))
        pair.give("r", message)
        after = dict(sa.__dict__)
        after["hint"] = before["hint"]
        assert after == before and pair.r.sas == [sa]


# --- authentication ------------------------------------------------------------------------------


def test_the_peers_proof_is_verified():
    """CVE-2004-0155: a daemon that did not look at it at all."""
    pair = begun(4)
    body = pair.r.peers[0].remote_id
    for proof in (bytes(32), b"", hash_i(pair, body)[:31], hash_i(pair, body[:7] + b"\7")):
        pair.give("r", fifth(pair, [(R.ID, body), (R.HASH, proof)]))
        assert pair.states()[1] == "MAIN_R2"
    assert pair.r.drops.by_reason == {"bad-hash": 4}
    pair.give("r", fifth(pair, [(R.ID, body), (R.HASH, hash_i(pair, body))]))
    assert pair.states()[1] == "ESTABLISHED"


def test_an_engine_that_fails_is_no_proof():
    """CVE-2013-2944: the error code of a verification, read as success."""
    pair = begun(5)
    working = pair.i.hal

    class Failing:
        def __getattr__(self, name):
            if name == "hmac":
                raise HalError("gone")
            return getattr(working, name)

    pair.i.hal = Failing()
    sixth = [datagram for side, datagram in pair.log if side == "r"][-1]
    pair.give("i", sixth)
    assert pair.states()[0] == "MAIN_I3"
    assert pair.i.drops.by_reason == {"no-crypto-engine": 1}
    pair.i.hal = working
    pair.give("i", sixth)
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_identity_types_are_not_confused():
    """CVE-2023-38711: the bytes of the address under another type."""
    address = bytes(policy.identity(INITIATOR[0]))
    for kind in (0, R.ID_FQDN, 3, 4, R.ID_IPV6, 9, 11, 255):
        pair = begun(4)
        body = bytes([kind]) + address[1:]
        pair.give("r", fifth(pair, [(R.ID, body), (R.HASH, hash_i(pair, body))]))
        pair.collect("r")
        assert pair.r.sas == []
        assert pair.last("r", "failed")["code"] == "wrong-identity"
    for body in (address[:7], address + b"\0", b"", address[:4]):
        pair = begun(4)
        pair.give("r", fifth(pair, [(R.ID, body), (R.HASH, hash_i(pair, body))]))
        assert [sa for sa in pair.r.sas if sa.state == "ESTABLISHED"] == []


def test_informational_without_its_hash_and_no_padding_oracle():
    """CVE-2019-10155: whatever is wrong with the plaintext, the answer is the same: none."""
    pair = begun(6)
    sa = pair.r.sas[0]
    informational.delete(pair.r, sa)
    good = pair.r.take_datagrams()[0][1]
    for at in range(28, len(good)):
        pair.give("i", changed(good, at, good[at] ^ 0x55))
    for size in range(28, len(good)):
        pair.give("i", good[:24] + struct.pack("!I", size) + good[28:size])
    assert pair.i.take_datagrams() == []
    assert pair.states()[0] == "ESTABLISHED"
    pair.give("i", good)
    assert pair.states()[0] == ""


def test_a_second_delete_after_the_sa_is_gone():
    """CVE-2023-38712."""
    pair = begun(6)
    sa = pair.r.sas[0]
    body = delete_body(sa.cky_i + sa.cky_r)
    message = under_protection(pair, [(R.D, body), (R.D, body), (R.N, b"\0\0\0\1\1\0\0\x0e")])
    for _ in range(3):
        pair.give("i", message)
    assert pair.i.sas == []
    assert pair.i.drops.by_reason == {"unknown-cookie": 2}
    pair.collect("i")
    assert len([e for e in pair.events["i"] if e["event"] == "deleted"]) == 1


# --- what is sent, and to whom -------------------------------------------------------------------


def test_a_responder_sends_nothing_by_itself():
    """CVE-2016-5361, VU#419128: a daemon that retransmits to whoever's address was forged."""
    for number in (1, 3):
        pair = begun(number)
        pair.collect("r")
        pair.pending = []
        for _ in range(600):
            pair.clock.now += 100
            pair.r.poll(pair.clock.now)
            assert pair.r.take_datagrams() == []
    pair = begun(1)
    received = sent = 0
    for _ in range(50):
        pair.give("r", pair.log[0][1])
        received += len(pair.log[0][1])
        sent += sum([len(datagram) for _, datagram in pair.r.take_datagrams()])
    assert sent * 10 < received


def test_a_fragment_before_there_is_an_sa():
    """CVE-2016-1287 and others: nothing is put together for a stranger."""
    pair = begun()
    body = struct.pack("!HBB", 1, 1, 1) + bytes(40)
    message = wire.message(COOKIES[:8], COOKIES[8:], 132, 2, False, 0, wire.chain([(132, body)]))
    pair.give("r", message)
    pair.give("r", message[:8] + bytes(8) + message[16:])
    assert pair.r.drops.by_reason == {"unknown-cookie": 2}
    assert pair.r.sas == []
