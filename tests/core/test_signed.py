"""Main Mode with signatures: what the exchange does around them, with a stand-in for the proof.

The certificates themselves have tests of their own.
"""

# Two agents and messages of 3 KB in one heap.
# micropython: heapsize=512k

from ike import fragments, rivals, wire
from ike import registry as R
from ike.certs import PAYLOADS
from ike.exchange import Refused
from ike.mainmode import proof_hash
from ike.wire import Drop
from pair import INITIATOR, RESPONDER, Pair

SIZE = 3000  # of a certificate: it needs fragments


class StandIn:
    """Credentials whose signature is HASH itself."""

    method = R.AUTH_RSA
    payloads = PAYLOADS

    def __init__(self, theirs=None):
        self.theirs = theirs  # raised instead of accepting the peer
        self.seen = []

    def answers(self, body):
        return bytes(body) == b"\4whoever"

    def requests(self):
        return [(R.CERTREQ, b"\4whoever")]

    def prove(self, sa, initiators):
        body = sa.peer.local_id
        found = [(R.ID, body)]
        if sa.asked:
            found.append((R.CERT, b"\4" + bytes([i % 251 for i in range(SIZE)])))
        if initiators:
            found += self.requests()
        return found + [(R.SIG, proof_hash(sa, initiators, body))]

    def authenticate(self, sa, parts, initiators):
        self.seen.append([len(body) for body in parts[R.CERT]])
        if proof_hash(sa, initiators, parts[R.ID]) != bytes(parts[R.SIG]):
            sa.refuse_later("bad-signature", 25, "the signature is wrong")
            raise Drop("bad-signature")
        if self.theirs:
            raise self.theirs


def make_pair(initiator=None, responder=None, group="modp2048", **changes):
    sides = []
    for credentials, address in ((initiator, INITIATOR), (responder, RESPONDER)):
        side = {
            "credentials": credentials or StandIn(),
            "psk": None,
            "local_id": b"\2\0\0\0" + address[0].encode(),
            "remote_id": None,
            "proposals": ["aes256-sha256-" + group],
        }
        side.update(changes)
        sides.append(side)
    return Pair(*sides)


def test_established_with_fragments():
    pair = make_pair()
    pair.connect()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert pair.r.peers[0].credentials.seen == [[SIZE + 1]]
    assert pair.i.peers[0].credentials.seen == [[SIZE + 1]]
    assert max([len(datagram) for _, datagram in pair.log]) <= wire.MAX_DATAGRAM
    carried = [d for _, d in pair.log if d[16] == R.FRAGMENT]
    assert len(carried) == 6
    event = pair.last("i", "established")
    assert event["auth"] == "cert"
    ours, theirs = pair.i.sas[0], pair.r.sas[0]
    assert ours.skeyid_a == theirs.skeyid_a and ours.iv == theirs.iv
    # The way into an SA and out of it is the same as with a key.
    assert pair.i.terminate("gw") == 1
    pair.settle()
    assert pair.r.sas == [] and pair.last("r", "deleted")["by"] == "peer"


def test_lines_that_end_at_once_end_once():
    """The first is refused, which ends the others of its exchange, in the same moment."""
    pair = make_pair()
    pair.i.initiate("gw", 0)
    pair.settle(4)
    while pair.r.poll(0):
        pass
    head = next(sa for sa in pair.r.sas if not sa.spare)
    head.refusal = "bad-signature", R.INVALID_SIGNATURE, "the signature is wrong", head.iv
    rival = rivals.another(head)
    rival.rival = True
    rival.expires = head.expires
    pair.r.sas.append(rival)
    pair.clock.now = head.expires
    pair.r.poll(pair.clock.now)
    assert pair.r.sas == []
    pair.collect("r")
    assert pair.last("r", "failed")["code"] == "bad-signature"


def test_without_an_offer_that_was_known_no_exchange_is_brought_back():
    """A signature is not tried with offers of which none was ever the peer's."""
    for known in (False, True):
        pair = make_pair()
        pair.i.initiate("gw", 0)
        pair.settle(2)
        first = pair.r.firsts[0]
        first.tag = bytes([first.tag[0] ^ 1]) + first.tag[1:]
        if known:
            first.since = None
        pair.r.sas.clear()
        pair.settle(1)
        assert len(pair.r.sas) == 2 * known
        assert pair.r.drops.by_reason == ({} if known else {"unknown-cookie": 1})


def test_no_fragments_for_a_peer_that_does_not_announce_them():
    pair = make_pair()
    pair.r.peers[0].capable = ()
    pair.connect()
    assert pair.states() == ("MAIN_I3", "MAIN_R2")  # 3 KB in one datagram: the peer refuses it
    assert pair.r.drops.by_reason == {"too-long": 1}


def test_a_certificate_only_for_who_asks():
    pair = make_pair()
    pair.r.peers[0].credentials.requests = list
    pair.connect()
    assert pair.r.peers[0].credentials.seen == [[]]
    assert pair.i.peers[0].credentials.seen == [[SIZE + 1]]


def test_fragments_in_any_order_twice_and_forged():
    pair = make_pair()
    pair.i.initiate("gw", 0)
    pair.settle(4)
    assert pair.states() == ("MAIN_I3", "MAIN_R2")
    parts = [datagram for sender, datagram in pair.pending if sender == "i"]
    pair.pending.clear()
    assert len(parts) == 3
    forged = bytearray(parts[0])
    forged[40] ^= 1
    for datagram in (parts[2], parts[2], bytes(forged), parts[1]):
        pair.give("r", datagram)
        pair.settle(0)
        assert pair.states()[1] == "MAIN_R2"
    assert pair.r.sas[0].iv != pair.i.sas[0].iv
    pair.give("r", parts[0])
    assert pair.states()[1] == "ESTABLISHED"
    # Message 6 is lost, the initiator repeats message 5: the answer comes again.
    pair.settle(0)
    pair.pending.clear()
    for datagram in parts:
        pair.give("r", datagram)
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert pair.r.drops.by_reason["duplicate"] == 1


def test_fragments_only_where_a_large_message_may_come():
    pair = make_pair()
    pair.i.initiate("gw", 0)
    pair.settle(1)
    sa = pair.i.sas[0]
    message = wire.message(sa.cky_i, pair.r.sas[0].cky_r, R.ID, R.ID_PROT, True, 0, bytes(2000))
    for datagram in fragments.split(message):
        pair.give("r", datagram)
    assert pair.r.drops.by_reason == {"unexpected-fragment": 2}
    stranger = wire.message(b"stranger", b"unknown!", R.ID, R.ID_PROT, True, 0, bytes(2000))
    for datagram in fragments.split(stranger):
        pair.give("r", datagram)
    assert pair.r.drops.by_reason["unknown-cookie"] == 2


def test_no_fragments_with_a_pre_shared_key():
    pair = Pair()
    pair.i.initiate("gw", 0)
    pair.settle(4)
    sa = pair.r.sas[0]
    assert sa.state == "MAIN_R2"
    message = wire.message(sa.cky_i, sa.cky_r, R.ID, R.ID_PROT, True, 0, bytes(2000))
    for datagram in fragments.split(message):
        pair.give("r", datagram)
    assert pair.r.drops.by_reason == {"unexpected-fragment": 2}
    assert sa.reassembly is None


def test_fragments_of_another_message():
    pair = make_pair()
    pair.i.initiate("gw", 0)
    pair.settle(4)
    sa = pair.r.sas[0]
    wrong = wire.message(b"stranger", sa.cky_r, R.ID, R.ID_PROT, True, 0, bytes(2000))
    for datagram in fragments.split(wrong):
        pair.give("r", sa.cky_i + sa.cky_r + bytes(datagram)[16:])
    assert pair.r.drops.by_reason == {"bad-fragment": 1}
    within = wire.message(sa.cky_i, sa.cky_r, R.FRAGMENT, R.ID_PROT, False, 0, bytes(2000))
    for datagram in fragments.split(within):
        pair.give("r", datagram)
    assert pair.r.drops.by_reason["bad-fragment"] > 1
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_refused_at_once():
    for role in "ir":
        refusing = StandIn(Refused("revoked", 20, "the certificate is revoked"))
        pair = make_pair(*([refusing] if role == "i" else [None, refusing]))
        pair.connect()
        failed = pair.last(role, "failed")
        assert (failed["code"], failed["reason"]) == ("revoked", "the certificate is revoked")
        assert pair.states() == ("", "")
        other = "r" if role == "i" else "i"
        assert pair.last(other, "notify")["type"] == "INVALID-CERTIFICATE"
        assert pair.last(other, "notify")["authenticated"] is True


def test_a_damaged_message_is_refused_only_when_no_better_one_comes():
    pair = make_pair()
    pair.i.peers[0].credentials.prove = lambda sa, initiators: [
        (R.ID, sa.peer.local_id),
        (R.SIG, b"wrong"),
    ]
    pair.connect()
    assert pair.states() == ("MAIN_I3", "MAIN_R2")
    assert pair.r.drops.by_reason == {"bad-signature": 1}
    pair.clock.now = 40000
    pair.r.poll(pair.clock.now)
    pair.collect("r")
    assert pair.last("r", "failed")["code"] == "bad-signature"
    pair.settle(1)
    assert pair.last("i", "notify")["type"] == "INVALID-SIGNATURE"
    assert pair.last("i", "failed")["code"] == "refused"


def test_mixed_methods():
    for keyed in "ir":
        changes = {"psk": b"k" * 32, "credentials": None}
        changes["local_id"], changes["remote_id"] = INITIATOR[0], RESPONDER[0]
        pair = make_pair()
        plain = Pair(changes, changes)
        if keyed == "i":
            pair.i = plain.i
        else:
            pair.r = plain.r
        pair.connect()
        assert pair.r.drops.by_reason == {"auth-method-mismatch": 1}


def test_a_hash_where_a_signature_was_agreed():
    pair = make_pair()
    pair.i.peers[0].credentials.prove = lambda sa, initiators: [
        (R.ID, sa.peer.local_id),
        (R.HASH, proof_hash(sa, initiators, sa.peer.local_id)),
    ]
    pair.connect()
    assert pair.r.drops.by_reason == {"unexpected-payload": 1}


def test_peer_from_anywhere():
    pair = make_pair()
    pair.r.peers[0].address = "any"
    pair.connect()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert pair.r.alternatives(pair.r.sas[0]) == pair.r.peers
