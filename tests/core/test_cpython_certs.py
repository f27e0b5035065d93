"""Two engines with real certificates: who is believed, who is not, and when it is said.

What strongSwan cannot be made to do is here; the rest runs against it, in hil/.
"""

import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ike import certs
from ikelet import pki
from ikelet.pki import Identity, Validity
from ikelet_hil import lab
from malformed import SA, VID, of_parts, sa_body
from pair import INITIATOR, RESPONDER, Pair, make_engine, make_hal
from pki import private  # type: ignore[attr-defined]

NAMES = {"i": "branch.example", "r": "hq.example"}
OTHER = {"i": "r", "r": "i"}


def credentials(identity: Identity, anchors=None, **options):
    key = identity.signing_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    chain = [one.public_bytes(Encoding.DER) for one in (identity.certificate, *identity.chain)]
    trusted = [one.certificate.public_bytes(Encoding.DER) for one in anchors or [lab.authority()]]
    now = options.pop("now", lambda: int(time.time()))
    return certs.Credentials(
        private.read(key), chain, trusted, options.pop("crls", []), now, **options
    )


def side(who: str, kind: str = "ecdsa256", group: str = "curve25519", made=None, **changes):
    values = {
        "credentials": made or credentials(lab.holder(kind, NAMES[who]).identity),
        "psk": None,
        "local_id": certs.identity(NAMES[who]),
        "remote_id": certs.identity(NAMES[OTHER[who]]),
        "proposals": ["aes256-sha256-" + group],
    }
    values.update(changes)
    return values


def connect(initiator, responder) -> Pair:
    pair = Pair(initiator, responder)
    pair.connect()
    return pair


@pytest.mark.parametrize(
    ("kind", "group"),
    [("rsa2048", "modp2048"), ("ecdsa256", "ecp256"), ("ecdsa384", "ecp384"),
     ("ecdsa521", "ecp521"), ("rsa3072", "curve25519")],
)  # fmt: skip
def test_established(kind: str, group: str) -> None:
    pair = connect(side("i", kind, group), side("r", kind, group))
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert pair.i.drops.by_reason == pair.r.drops.by_reason == {}


def test_methods_of_keys_do_not_mix() -> None:
    """One authentication method is negotiated for both: an RSA key and an ECDSA key have none."""
    pair = connect(side("i", "rsa2048"), side("r", "ecdsa256"))
    assert pair.r.drops.by_reason == {"auth-method-mismatch": 1}


def wrong_name(who: str):
    """A certificate in which the identity that is claimed does not stand."""
    identity = lab.holder("ecdsa256", NAMES[who], names=["nobody.example"]).identity
    return side(who, made=credentials(identity))


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256"])
def test_a_signature_over_another_offer(kind: str) -> None:
    """Somebody's offer in the peer's exchange was answered: the signature is over the peer's,
    which is looked at where it has authenticated him before."""
    for known in (False, True):
        # An initiator that takes one message 2 only, as others do.
        pair = Pair(side("i", kind), side("r", kind))
        if known:
            pair.connect()
            pair.i.terminate("gw")
            pair.settle()
        pair.r.drops.by_reason.clear()
        pair.i.initiate("gw", pair.clock.now)
        own = pair.collect("i")[0]
        pair.pending.clear()
        offer = bytearray(sa_body(own))
        pair.give("r", of_parts(own, [(SA, bytes(offer)), (VID, b"who knows")]))
        first = pair.r.sas[0].first
        offer[-1] ^= 1  # what was offered there differs in what was not chosen
        pair.r.sas[0].sai_b = bytes(offer)
        pair.give("r", of_parts(own, [(SA, sa_body(own))]))
        assert pair.r.drops.by_reason == {"another-offer": 1}
        pair.settle()
        assert pair.states()[0] == ("ESTABLISHED" if known else "MAIN_I3")
        assert ("bad-signature" in pair.r.drops.by_reason) == (not known)
        assert first.since is not None  # it is not what is remembered of the peer


@pytest.mark.parametrize("who", "ir")
def test_a_name_that_is_not_in_the_certificate(who: str) -> None:
    sides = {"i": side("i"), "r": side("r"), who: wrong_name(who)}
    pair = connect(sides["i"], sides["r"])
    assert pair.last(OTHER[who], "failed")["code"] == "wrong-name"
    assert pair.last(who, "notify")["type"] == "INVALID-ID-INFORMATION"


def test_the_other_identity_is_named() -> None:
    pair = connect(side("i"), side("r", remote_id=certs.identity("C=DE, O=Lab, CN=x")))
    reason = pair.last("r", "failed")["reason"]
    assert pair.last("r", "failed")["code"] == "wrong-identity"
    assert "branch.example" in reason


def test_a_clock_that_is_not_set_is_no_clock() -> None:
    identity = lab.holder("ecdsa256", NAMES["r"]).identity
    pair = connect(side("i"), side("r", made=credentials(identity, now=lambda: None)))
    assert pair.last("r", "failed")["code"] == "clock-unset"


def test_no_request_no_certificate() -> None:
    ours = side("i")
    ours["credentials"].answers = lambda body: False
    pair = connect(ours, side("r"))
    assert pair.r.drops.by_reason == {"no-certificate": 1}
    assert pair.states() == ("MAIN_I3", "MAIN_R2")


def test_another_key_than_the_certificates() -> None:
    other = pki.make_device(
        pki.name("CN=x"), pki.new_key("ecdsa256"), Validity(9), lab.authority(), [NAMES["i"]]
    )
    stolen = credentials(lab.holder("ecdsa256", NAMES["i"]).identity)
    stolen._private = credentials(other)._private
    assert not stolen.is_pair(make_hal())
    pair = connect(side("i", made=stolen), side("r"))
    assert pair.r.drops.by_reason == {"bad-signature": 1}


def test_an_unknown_ca_is_told_when_the_time_is_up() -> None:
    """Damage on the way could look like it: a better message may still come."""
    stranger = lab.authority("ecdsa256", "stranger")
    identity = lab.holder("ecdsa256", NAMES["i"], stranger).identity
    ours = side("i", made=credentials(identity))
    ours["credentials"].answers = lambda body: True  # though another CA was asked for
    pair = connect(ours, side("r"))
    assert pair.r.drops.by_reason == {"unknown-ca": 1}
    assert pair.last("r", "failed") is None
    pair.clock.now = 60000
    pair.r.poll(pair.clock.now)
    pair.collect("r")
    assert pair.last("r", "failed")["code"] == "unknown-ca"
    pair.settle(1)
    assert pair.last("i", "notify")["type"] == "INVALID-CERT-AUTHORITY"


def test_damage_costs_nothing() -> None:
    """Every block of message 5 changed once on its way, and the honest one still counts."""
    ours = side("i")
    ours["credentials"].requests = list  # which nothing protects, and nobody has to believe
    pair = Pair(ours, side("r"))
    pair.i.initiate("gw", 0)
    pair.settle(4)
    (message,) = [datagram for sender, datagram in pair.pending if sender == "i"]
    pair.pending.clear()
    behind = 80  # a notify and padding: nothing authenticates them
    for at in range(28, len(message) - behind, 16):
        damaged = bytearray(message)
        damaged[at] ^= 0x20
        pair.give("r", bytes(damaged))
        pair.collect("r")
        assert "ESTABLISHED" not in pair.states(), at
        assert pair.last("r", "failed") is None, at
    pair.give("r", message)
    assert pair.r.find("gw").state == "ESTABLISHED"


def test_peers_from_anywhere_are_told_apart_by_their_names() -> None:
    ours = side("r")
    pair = Pair(side("i"), ours)
    found = pair.r.peers[0]
    found.address = "any"
    other = type(found)("other", "any", port=500, role="responder", **{
        **ours, "remote_id": certs.identity("another.example")
    })  # fmt: skip
    pair.r.peers.insert(0, other)
    pair.connect()
    assert pair.r.find("gw") and not pair.r.find("other")
    assert pair.last("r", "established")["peer"] == "gw"


def test_two_behind_one_address() -> None:
    """A NAT in front of both: their ports and their names tell them apart."""
    hub = side("r")
    pair = Pair(side("i"), {**hub, "remote_id": None})
    pair.r.peers[0].address = "any"
    name = "branch-2.example"
    second = side(
        "i", made=credentials(lab.holder("ecdsa256", name).identity), local_id=certs.identity(name)
    )
    other = make_engine(INITIATOR, RESPONDER, "initiator", pair.clock, **second)
    branches = {500: pair.i, 1025: other}
    for engine in branches.values():
        engine.initiate("gw", 0)
    for _ in range(20):
        for port, engine in branches.items():
            for _, datagram in engine.take_datagrams():
                pair.r.receive(datagram, RESPONDER + (INITIATOR[0], port), 0)
            engine.poll(0)
        pair.r.poll(0)
        for path, datagram in pair.r.take_datagrams():
            branches[path[3]].receive(datagram, INITIATOR + RESPONDER, 0)
    assert [sa.state for sa in pair.i.sas + other.sas] == ["ESTABLISHED"] * 2
    assert sorted(sa.path[3] for sa in pair.r.sas if sa.state == "ESTABLISHED") == [500, 1025]


def test_revoked() -> None:
    bad = lab.holder("ecdsa256", NAMES["i"]).identity
    revoking = lab.crl(lab.authority(), bad)
    identity = lab.holder("ecdsa256", NAMES["r"]).identity
    pair = connect(
        side("i", made=credentials(bad)),
        side("r", made=credentials(identity, crls=[revoking])),
    )
    assert pair.last("r", "failed")["code"] == "revoked"
    assert pair.last("i", "notify")["authenticated"] is True
