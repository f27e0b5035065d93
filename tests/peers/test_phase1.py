"""Two negotiations joined in memory, where one side breaks what only a key holder can."""

import struct
from collections.abc import Callable

import pytest

from ikelet.peers import PeerConfig
from ikelet.peers import messages as m
from ikelet.peers.phase1 import Negotiation
from peers.peer_pair import PSK

Pair = tuple[Negotiation, Negotiation]


@pytest.fixture
def pair() -> Pair:
    """(initiator, responder), before message 1."""
    config = PeerConfig(psk=PSK, remote_id="127.0.0.1", proposals=["aes128-sha256-modp1024"])
    initiator = Negotiation(config)
    return initiator, Negotiation(config, initiator.cookies[0])


def _deliver(receiver: Negotiation, data: bytes) -> bytes | None:
    return receiver.handle(receiver.open(m.parse_header(data), data))


def _until_message_5(initiator: Negotiation, responder: Negotiation) -> bytes:
    second = _deliver(responder, initiator.first_message())
    fourth = _deliver(responder, _deliver(initiator, second))
    return _deliver(initiator, fourth)


def _layers(sender: Negotiation, *more: object) -> bytes:
    """Message 5 with payloads after ID and HASH."""
    body = m.identity("127.0.0.1")
    layers = [m.build_id(body), m.build_hash(sender._hash(sender.initiator, body)), *more]
    first, chain = m.build_chain(layers)
    encrypted, _ = sender._encrypt(chain, sender.keys.iv)
    return m.build_message(sender.cookies, first, encrypted, encrypted=True)


def _padded(chain: bytes, padding: bytes) -> Callable[[Negotiation], bytes]:
    def build(sender: Negotiation) -> bytes:
        encrypted = sender.keys.encrypt(sender.keys.iv, chain + padding)
        return m.build_message(sender.cookies, m.ID, encrypted, encrypted=True)

    return build


def test_both_ends_agree(pair: Pair) -> None:
    initiator, responder = pair
    assert _deliver(initiator, _deliver(responder, _until_message_5(*pair))) is None
    assert initiator.established
    assert responder.established
    assert initiator.keys == responder.keys


def test_rejected_message_changes_nothing(pair: Pair) -> None:
    initiator, responder = pair
    good = _until_message_5(*pair)
    for at in range(m.HEADER_SIZE, len(good), 7):
        broken = good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]
        with pytest.raises(m.RejectedError):
            _deliver(responder, broken)
    assert _deliver(initiator, _deliver(responder, good)) is None
    assert initiator.established


def test_initial_contact_is_accepted(pair: Pair) -> None:
    initiator, responder = pair
    _until_message_5(*pair)
    notify = m.build_notify(m.INITIAL_CONTACT, b"".join(initiator.cookies))
    assert _deliver(responder, _layers(initiator, notify))


@pytest.mark.parametrize(
    ("notify", "reason"),
    [
        (m.build_notify(m.INITIAL_CONTACT, bytes(16)), "is not both cookies"),
        (m.build_notify(m.INITIAL_CONTACT), "is not both cookies"),
        (m.build_notify(m.NO_PROPOSAL_CHOSEN), "notification 14 does not belong here"),
        (m.build_nonce(bytes(16)), "payload NONCE does not belong here"),
        (m.build_hash(bytes(32)), "2 payloads HASH instead of one"),
    ],
)
def test_what_does_not_belong_in_message_5(pair: Pair, notify: object, reason: str) -> None:
    initiator, responder = pair
    _until_message_5(*pair)
    with pytest.raises(m.RejectedError, match=reason):
        _deliver(responder, _layers(initiator, notify))


@pytest.mark.parametrize(
    ("padding", "reason"),
    [
        (b"\0" * 15 + b"\1", "padding is not zero"),
        (bytes(32), "32 octets of padding are too many"),
    ],
)
def test_padding(pair: Pair, padding: bytes, reason: str) -> None:
    initiator, responder = pair
    _until_message_5(*pair)
    body = m.identity("127.0.0.1")
    _, chain = m.build_chain([m.build_id(body), m.build_hash(initiator._hash(True, body))])
    assert len(chain) % 16 == 0
    with pytest.raises(m.RejectedError, match=reason):
        _deliver(responder, _padded(chain, padding)(initiator))
    assert _deliver(responder, _padded(chain, bytes(16))(initiator))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (struct.pack(">BBH", 1, 17, 4500) + b"\x7f\0\0\1", "are 17/4500, not 0/0 or 17/500"),
        (struct.pack(">BBH", 1, 0, 0) + b"\x7f\0\0\2", "ID is 127.0.0.2, expected 127.0.0.1"),
        (struct.pack(">BBH", 2, 0, 0) + b"\x7f\0\0\1", "expected 127.0.0.1"),
        (b"\1\0\0\0", "ID is empty"),
    ],
)
def test_identity(pair: Pair, body: bytes, reason: str) -> None:
    initiator, responder = pair
    _until_message_5(*pair)
    identity = b"\x08\0" + struct.pack(">H", len(body) + 4) + body
    chain = identity + bytes(m.build_hash(initiator._hash(True, body)))
    with pytest.raises(m.RejectedError, match=reason):
        _deliver(responder, _padded(chain, bytes(-len(chain) % 16))(initiator))


def test_hash_of_the_wrong_direction(pair: Pair) -> None:
    initiator, responder = pair
    _until_message_5(*pair)
    body = m.identity("127.0.0.1")
    _, chain = m.build_chain([m.build_id(body), m.build_hash(initiator._hash(False, body))])
    with pytest.raises(m.RejectedError, match="HASH_I is wrong"):
        _deliver(responder, _padded(chain, b"")(initiator))


@pytest.mark.parametrize("size", [7, 257])
def test_nonce_size(pair: Pair, size: int) -> None:
    initiator, responder = pair
    initiator._nonce = bytes(size)
    second = _deliver(responder, initiator.first_message())
    with pytest.raises(m.RejectedError, match=f"nonce has {size} octets"):
        _deliver(responder, _deliver(initiator, second))


@pytest.mark.parametrize("length", [127, 129, 0])
def test_ke_length(pair: Pair, length: int) -> None:
    initiator, responder = pair
    _deliver(responder, initiator.first_message())
    first, body = m.build_chain([m.build_ke(b"\5" * length), m.build_nonce(bytes(16))])
    with pytest.raises(m.RejectedError, match=f"KE has {length} octets, modp1024 needs 128"):
        _deliver(responder, m.build_message(responder.cookies, first, body))


def test_life_duration_is_echoed_as_it_came(pair: Pair) -> None:
    """A responder must not re-encode: 28800 fits a basic attribute, yet came as four octets."""
    initiator, responder = pair
    offered = m.transform(1, initiator._suites[0], 28800)
    encoded = offered.encoded[:-4] + bytes.fromhex("000c000400007080")
    offer = m.build_sa(1, [m.Transform(1, offered.attributes, encoded)])
    first, body = m.build_chain([offer])
    answer = _deliver(responder, m.build_message(initiator.cookies, first, body))
    assert answer.endswith(encoded)


@pytest.mark.parametrize(
    ("number", "lifetime", "reason"),
    [(2, 28800, "transform 2 was not offered"), (1, 28801, "attributes of transform 1 were")],
)
def test_choice_that_was_not_offered(pair: Pair, number: int, lifetime: int, reason: str) -> None:
    initiator, responder = pair
    initiator.first_message()
    choice = m.build_sa(1, [m.transform(number, initiator._suites[0], lifetime)])
    first, body = m.build_chain([choice])
    message = m.build_message((initiator.cookies[0], responder.cookies[1]), first, body)
    with pytest.raises(m.RejectedError, match=reason):
        _deliver(initiator, message)
