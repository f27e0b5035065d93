"""The built-in peer with certificates: two negotiations in memory, and what either refuses."""

import dataclasses
import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from ikelet import pki
from ikelet.peers import Credentials, PeerConfig, make_peer
from ikelet.peers import messages as m
from ikelet.peers.phase1 import Negotiation
from ikelet.peers.signatures import Holder, _is_rsa_signature
from ikelet_hil import lab
from ikelet_hil.lab import AGENT, GATEWAY
from peers.peer_pair import PSK, Join

SUITE = "aes128-sha256-curve25519"
KEYS = ["ecdsa256", "ecdsa384", "ecdsa521", "rsa2048"]


def side(
    holder: lab.Holder, local: str = AGENT, other: str | None = GATEWAY, **more: object
) -> PeerConfig:
    return PeerConfig(
        credentials=holder.for_peer(),
        local_id=local,
        remote_id=other,
        proposals=[SUITE],
        **more,
    )


def pair(
    ours: lab.Holder | None = None, theirs: lab.Holder | None = None, kind: str = "ecdsa256"
) -> tuple[Negotiation, Negotiation]:
    """(initiator, responder), before message 1."""
    initiator = Negotiation(side(ours or lab.holder(kind, AGENT)))
    config = side(theirs or lab.holder(kind, GATEWAY), GATEWAY, AGENT)
    return initiator, Negotiation(config, initiator.cookies[0])


def deliver(receiver: Negotiation, data: bytes) -> bytes | None:
    return receiver.handle(receiver.open(m.parse_header(data), data))


def run(initiator: Negotiation, responder: Negotiation, messages: int = 6) -> bytes | None:
    """Exchange so many messages; what came of the last."""
    data = initiator.first_message()
    for number in range(1, messages):
        data = deliver(responder if number % 2 else initiator, data)
    return data


def refusal(initiator: Negotiation, responder: Negotiation) -> m.RejectedError:
    """Why the responder refuses message 5."""
    fifth = run(initiator, responder, 5)
    with pytest.raises(m.RejectedError) as raised:
        deliver(responder, fifth)
    assert not responder.established
    return raised.value


@pytest.mark.parametrize("kind", KEYS)
def test_both_ends_agree(kind: str) -> None:
    initiator, responder = pair(kind=kind)
    sixth = run(initiator, responder)
    assert initiator.sent == ("ID", "CERT", "CERTREQ", "SIG")
    assert responder.sent == ("ID", "CERT", "SIG")
    assert deliver(initiator, sixth) is None
    assert initiator.established and responder.established
    assert initiator.keys == responder.keys
    assert (initiator.remote_id, responder.remote_id) == (GATEWAY, AGENT)


@pytest.mark.parametrize(
    "identity", ["C=DE, O=Lab, CN=agent.example", "10.9.0.2", "2001:db8::2", "a@example.org"]
)
def test_identities(identity: str) -> None:
    names = [] if "=" in identity else [identity]
    holder = lab.holder("ecdsa256", AGENT, names=names)
    initiator = Negotiation(side(holder, identity))
    responder = Negotiation(
        side(lab.holder("ecdsa256", GATEWAY), GATEWAY, identity), initiator.cookies[0]
    )
    assert run(initiator, responder)
    assert responder.remote_id == identity


def test_a_certificate_only_for_who_asks() -> None:
    initiator, responder = pair()
    responder._holder.requests = list
    refused = refusal(initiator, responder)
    assert "no certificate came" in str(refused) and refused.notify == 20
    assert initiator.sent == ("ID", "CERTREQ", "SIG")


def test_any_ca_may_be_asked_for_and_another_may_not() -> None:
    holder = Holder(lab.holder("ecdsa256", AGENT).for_peer())
    name = lab.authority().certificate.subject.public_bytes()
    stranger = lab.authority("ecdsa256", "stranger").certificate.subject.public_bytes()
    assert holder.answers(b"\4") and holder.answers(b"\4" + name)
    assert not holder.answers(b"\1") and not holder.answers(b"\4" + stranger)
    with pytest.raises(m.RejectedError, match="CERTREQ is empty"):
        holder.answers(b"")
    with pytest.raises(m.RejectedError, match="no distinguished name"):
        holder.answers(b"\4" + b"\x30\x03\x31")


def without_usage() -> lab.Holder:
    made = lab.holder("ecdsa256", AGENT)
    root = lab.authority()
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(root.certificate.subject, serial_number=1)
        .subject_name(pki.name("CN=x"))
        .public_key(made.identity.signing_key().public_key())
        .not_valid_before(now - pki.DAY)
        .not_valid_after(now + pki.DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(AGENT)]), False)
        .add_extension(pki.usage("key_agreement"), True)
        .sign(root.signing_key(), hashes.SHA256())
    )
    made.identity = dataclasses.replace(made.identity, certificate=certificate)
    return made


# Name: (the initiator, what the responder says, the notification of RFC 2408 3.14.1)
STRANGER = lab.authority("ecdsa256", "stranger")
REFUSED: dict[str, tuple[Callable[[], lab.Holder], str, int]] = {
    "expired": (lambda: lab.holder("ecdsa256", AGENT, days=-1), "is not valid: .*time", 20),
    "another CA": (lambda: lab.holder("ecdsa256", AGENT, STRANGER), "is not valid", 20),
    "another name": (
        lambda: lab.holder("ecdsa256", AGENT, names=["x.example"]),
        "ID agent.example is not in the certificate of C=DE, O=Lab, CN=agent.example",
        18,
    ),
    "no name": (lambda: lab.holder("ecdsa256", AGENT, names=[]), "is not in the certificate", 18),
    "not for signatures": (without_usage, "keyUsage does not allow signatures", 20),
    "a device's as CA": (
        lambda: lab.holder("ecdsa256", AGENT, lab.holder("ecdsa256", "middle").identity),
        "is not valid",
        20,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_certificates(name: str) -> None:
    make, reason, notify = REFUSED[name]
    initiator, responder = pair(make())
    initiator._holder.answers = lambda body: True  # even if another CA was asked for
    refused = refusal(initiator, responder)
    with pytest.raises(m.RejectedError, match=reason):
        raise refused
    assert refused.notify == notify


def test_revocation() -> None:
    ours, theirs = lab.holder("ecdsa256", AGENT), lab.holder("ecdsa256", GATEWAY)
    for crl, reason in (
        (lab.crl(lab.authority(), ours.identity), "CN=agent.example was revoked"),
        (lab.crl(lab.authority(), days=-1), "CRL of .* is out of date"),
        (_forged(), "CRL of .* is forged"),
    ):
        theirs.crls = [crl]
        with pytest.raises(m.RejectedError, match=reason):
            raise refusal(*pair(ours, theirs))
    theirs.crls = [lab.crl(lab.authority()), lab.crl(STRANGER, ours.identity)]
    assert run(*pair(ours, theirs))


def _forged() -> bytes:
    """A list in the CA's name, by another key."""
    other = dataclasses.replace(lab.authority(), key=lab.key("ecdsa256", "forger"))
    return lab.crl(other)


def digest_info(initiator: Negotiation, digest: bytes) -> bytes:
    key = initiator._holder._key
    return key.sign(digest, PKCS1v15(), hashes.SHA256())


def of_another_hash(initiator: Negotiation, digest: bytes) -> bytes:
    return Holder.sign(initiator._holder, bytes([digest[0] ^ 1]) + digest[1:])


def in_der(initiator: Negotiation, digest: bytes) -> bytes:
    return initiator._holder._key.sign(digest, ec.ECDSA(hashes.SHA256()))


def cut(initiator: Negotiation, digest: bytes) -> bytes:
    return Holder.sign(initiator._holder, digest)[:-1]


@pytest.mark.parametrize(
    ("kind", "sign", "reason"),
    [
        ("rsa2048", digest_info, "SIG is wrong"),
        ("rsa2048", of_another_hash, "SIG is wrong"),
        ("rsa2048", cut, "SIG has 255 octets, not 256"),
        ("rsa2048", lambda initiator, digest: bytes(256), "SIG is wrong"),
        ("ecdsa256", of_another_hash, "SIG is wrong"),
        ("ecdsa256", in_der, r"SIG has 7\d octets, not 64"),
        ("ecdsa256", cut, "SIG has 63 octets, not 64"),
        ("ecdsa256", lambda initiator, digest: bytes(64), "SIG is wrong"),
    ],
)
def test_refused_signatures(
    kind: str, sign: Callable[[Negotiation, bytes], bytes], reason: str
) -> None:
    initiator, responder = pair(kind=kind)
    initiator._holder.sign = lambda digest: sign(initiator, digest)
    refused = refusal(initiator, responder)
    with pytest.raises(m.RejectedError, match=reason):
        raise refused
    assert refused.notify == 25


def test_a_signature_is_below_the_modulus() -> None:
    """s + n is the same number to whoever does not compare with n."""
    ours, key = Holder(lab.holder("rsa2048", AGENT).for_peer()), lab.key("rsa2048", AGENT)
    modulus = key.public_key().public_numbers().n
    for number in range(100):
        digest = bytes([number]) * 32
        sig = ours.sign(digest)
        other = int.from_bytes(sig, "big") + modulus
        if other < 1 << 2048:
            break
    assert _is_rsa_signature(key.public_key(), digest, sig)
    assert not _is_rsa_signature(key.public_key(), digest, other.to_bytes(256, "big"))


def test_another_key_than_the_certificates() -> None:
    initiator, responder = pair()
    initiator._holder._key = lab.key("ecdsa256", "thief")
    assert "SIG is wrong" in str(refusal(initiator, responder))


@pytest.mark.parametrize(
    ("body", "notify"),
    [(b"", 19), (b"\1\x30\0", 19), (b"\4\x30\3\1", 19), (b"\4", 19)],
)
def test_what_is_no_certificate(body: bytes, notify: int) -> None:
    initiator, responder = pair()
    initiator._holder.certificates = lambda: [body]
    assert refusal(initiator, responder).notify == notify


def test_a_certificate_of_another_kind_of_key() -> None:
    initiator, responder = pair()
    other = Holder(lab.holder("ecdsa384", AGENT).for_peer())
    initiator._holder.certificates = other.certificates
    assert "not of the agreed method" in str(refusal(initiator, responder))


@pytest.mark.parametrize("keyed", ["initiator", "responder"])
def test_mixed_methods(join: Join, keyed: str) -> None:
    signed = {"psk": b"", "credentials": lab.holder("rsa2048", AGENT).for_peer()}
    initiator, responder = join(**{keyed: {"psk": PSK}, _other(keyed): signed})
    initiator.initiate()
    words = ("a pre-shared key", "RSA signatures")
    theirs, ours = words if keyed == "initiator" else words[::-1]
    assert responder.wait(5).reason == (
        f"message 1: the other side authenticates by {theirs}, this one by {ours}"
    )
    assert initiator.wait(5).reason == "the other side answered NO-PROPOSAL-CHOSEN"


def _other(role: str) -> str:
    return "responder" if role == "initiator" else "initiator"


def test_keys_of_no_use_are_misuse() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = Ed25519PrivateKey.generate().private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(Exception, match="neither RSA nor EC"):
        Holder(Credentials(key, (), ()))


def long_chain(owner: str) -> lab.Holder:
    """Two intermediates with RSA keys: a message of 3 KB."""
    made = lab.holder("rsa2048", owner, lab.authority("rsa2048", "root", 2))
    made.anchors = [lab.authority("rsa2048", "root")]
    return made


@pytest.mark.parametrize("kinds", [("builtin",) * 2, ("builtin", "strongswan"),
                                   ("strongswan", "builtin")], ids="-".join)  # fmt: skip
@pytest.mark.parametrize("kind", ["ecdsa384", "rsa2048"])
def test_on_the_wire(kinds: tuple[str, str], kind: str, require: Callable[[str], None]) -> None:
    """Fragments both ways with the long chain; with strongSwan's charon in either role."""
    if "strongswan" in kinds:
        require("strongswan")
    make = long_chain if kind == "rsa2048" else lambda owner: lab.holder(kind, owner)
    with make_peer(kinds[1], side(make(GATEWAY), GATEWAY, AGENT)) as responder:
        config = side(make(AGENT), role="initiator", remote=responder.address)
        with make_peer(kinds[0], config) as initiator:
            initiator.initiate()
            first, second = initiator.wait(20), responder.wait(20)
            assert first.established, first.reason
            assert second.established, second.reason
            assert (first.remote_id, second.remote_id) == (GATEWAY, AGENT)
            fragments = [d for d in responder.datagrams if d.data[16] == m.FRAGMENT]
            assert bool(fragments) is (kind == "rsa2048")
            assert max(len(one.data) for one in initiator.datagrams) <= 1280
