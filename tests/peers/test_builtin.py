"""The built-in peer against itself: both roles, every suite, and what it refuses."""

import re
import stat
import struct
from pathlib import Path

import pytest

from ikelet.peers import PeerConfig, PeerError, make_peer
from ikelet.peers.suites import CIPHERS, GROUPS, HASHES
from peers.peer_pair import PSK, Join

_SMALL_GROUPS = ("modp1024", "modp1536", "modp2048")
SUITES = [
    f"{cipher}-{name}-{_SMALL_GROUPS[number % 3]}"
    for number, (cipher, name) in enumerate((c, h) for c in CIPHERS for h in HASHES)
] + [f"aes256-sha256-{group}" for group in GROUPS]


@pytest.mark.parametrize("proposal", SUITES)
def test_every_cipher_with_every_hash_and_every_group(join: Join, proposal: str) -> None:
    initiator, responder = join(proposals=[proposal])
    initiator.initiate()
    first, second = initiator.wait(10), responder.wait(10)
    assert first.established, first.reason
    assert second.established, second.reason
    assert first.suite == second.suite == proposal
    assert (first.role, second.role) == ("initiator", "responder")
    assert first.initiator_cookie == second.initiator_cookie
    assert first.responder_cookie == second.responder_cookie
    assert first.remote_id == second.remote_id == "127.0.0.1"


def test_events_name_the_six_messages(join: Join) -> None:
    initiator, responder = join()
    initiator.initiate()
    assert initiator.wait(5).established
    assert responder.wait(5).established
    messages = [event for event in responder.events if event.kind == "message"]
    assert [(e.number, e.direction, e.payloads) for e in messages] == [
        (1, "in", ("SA",)),
        (2, "out", ("SA",)),
        (3, "in", ("KE", "NONCE")),
        (4, "out", ("KE", "NONCE")),
        (5, "in", ("ID", "HASH")),
        (6, "out", ("ID", "HASH")),
    ]
    assert [e.length for e in messages] == [len(d.data) for d in responder.datagrams]
    times = [event.t for event in responder.events]
    assert times == sorted(times)


def test_responder_takes_the_first_offer_it_can_do(join: Join) -> None:
    initiator, responder = join(
        initiator={
            "proposals": ["aes256-sha512-modp1024", "3des-sha1-modp1024", "aes128-md5-modp1024"],
            "lifetime": 86400,
        },
        responder={"proposals": ["aes128-md5-modp1024", "3des-sha1-modp1024"]},
    )
    initiator.initiate()
    assert initiator.wait(5).suite == "3des-sha1-modp1024"
    assert responder.wait(5).lifetime == 86400


def test_no_common_proposal_is_said_on_both_sides(join: Join) -> None:
    initiator, responder = join(
        initiator={"proposals": ["aes256-sha256-modp1024"]},
        responder={"proposals": ["aes128-sha256-modp1024"]},
    )
    initiator.initiate()
    first, second = initiator.wait(5), responder.wait(5)
    assert not first.established
    assert first.reason == "the other side answered NO-PROPOSAL-CHOSEN"
    assert not second.established
    assert second.reason == (
        "message 1: no proposal in common: "
        "offered aes256-sha256-modp1024; wanted aes128-sha256-modp1024"
    )


def test_wrong_psk_is_recognised(join: Join) -> None:
    initiator, responder = join(
        initiator={"psk": PSK[:-1], "retransmit": (0.1, 0.1)},
    )
    initiator.initiate()
    assert "pre-shared keys differ" in responder.wait(5).reason
    assert initiator.wait(5).reason == "no answer to message 5"


def test_wrong_identity_is_refused(join: Join) -> None:
    initiator, responder = join(initiator={"local_id": "127.0.0.9", "retransmit": (0.1,)})
    initiator.initiate()
    assert responder.wait(5).reason == "message 5: ID is 127.0.0.9, expected 127.0.0.1"
    assert not initiator.wait(5).established


@pytest.mark.parametrize("who", ["initiator", "responder"])
def test_delete_in_both_directions(join: Join, who: str) -> None:
    peers = dict(zip(("initiator", "responder"), join(), strict=True))
    peers["initiator"].initiate()
    assert all(peer.wait(5).established for peer in peers.values())
    sender = peers.pop(who)
    (receiver,) = peers.values()
    sender.delete()
    deleted = receiver.wait_event("deleted", 5)
    assert deleted is not None
    assert deleted.text == "deleted by the other side"
    assert not [e for e in receiver.events if e.kind == "rejected"]
    with pytest.raises(PeerError, match="no established SA"):
        sender.delete()


def test_forged_delete_changes_nothing(join: Join) -> None:
    def forge(number: int, data: bytes) -> bytes:
        # With 16-octet blocks this garbles HASH(1) alone, and leaves DELETE whole.
        return data[:44] + bytes([data[44] ^ 1]) + data[45:] if number == 0 else data

    initiator, responder = join(initiator_options={"mangle": forge})
    initiator.initiate()
    assert initiator.wait(5).established
    assert responder.wait(5).established
    initiator.delete()
    rejected = responder.wait_event("rejected", 5)
    assert rejected is not None
    assert rejected.text == "HASH(1) is wrong"
    assert responder.wait_event("deleted", 0.1) is None
    assert responder.wait(0).established


@pytest.mark.parametrize("lost", [1, 2, 3, 4, 5, 6])
def test_loss_of_each_message_is_survived(join: Join, lost: int) -> None:
    left = [lost]

    def lose(number: int, data: bytes) -> bytes | None:
        if number in left:
            left.remove(number)
            return None
        return data

    initiator, responder = join(
        initiator={"retransmit": (0.1, 0.2, 0.4)},
        initiator_options={"mangle": lose},
        responder_options={"mangle": lose},
    )
    initiator.initiate()
    assert initiator.wait(5).established
    assert responder.wait(5).established
    assert not left
    assert initiator.wait_event("retransmit", 0).number == (lost + 1) // 2 * 2 - 1


def test_everything_twice_is_survived(join: Join) -> None:
    initiator, responder = join(
        initiator_options={"mangle": lambda _, data: [data, data]},
        responder_options={"mangle": lambda _, data: [data, data]},
    )
    initiator.initiate()
    assert initiator.wait(5).established
    assert responder.wait(5).established
    assert responder.wait_event("duplicate", 5)
    assert len(responder.results) == 1


def test_silence_ends_in_failure(join: Join) -> None:
    initiator, responder = join(
        initiator={"retransmit": (0.05, 0.1)}, responder_options={"mangle": lambda *_: None}
    )
    initiator.initiate()
    assert initiator.wait(5).reason == "no answer to message 1"
    assert len(initiator.datagrams) == 2
    assert responder.wait(0.01).reason == "message 3 did not come"


# Each breaks one message of an otherwise good peer. The other side must notice.
def _replace(at: int, value: bytes) -> object:
    return lambda data: data[:at] + value + data[at + len(value) :]


_PRIME = GROUPS["modp1024"].prime
BROKEN = {
    "exchange type": (1, _replace(18, b"\x04"), "exchange 4 of an unknown SA"),
    "message id": (1, _replace(20, b"\0\0\0\1"), "message ID is not zero"),
    "responder cookie in 1": (1, _replace(15, b"\1"), "message of an unknown SA"),
    "trailing octets": (
        3,
        lambda d: d[:24] + struct.pack(">I", len(d) + 4) + d[28:] + bytes(4),
        "4 octets after the last payload",
    ),
    "other responder cookie": (3, _replace(8, b"\1\1\1\1\1\1\1\1"), "is not this SA's"),
    "ke 0": (3, _replace(32, bytes(128)), "KE is not between"),
    "ke 1": (3, _replace(32, bytes(127) + b"\1"), "KE is not between"),
    "ke p-1": (3, _replace(32, (_PRIME - 1).to_bytes(128, "big")), "KE is not between"),
    "ke p": (4, _replace(32, _PRIME.to_bytes(128, "big")), "KE is not between"),
    "zero responder cookie": (2, _replace(8, bytes(8)), "responder cookie of message 2 is zero"),
    "changed attribute": (2, _replace(28 + 28 + 2, b"\0\5"), "attributes of transform 1 were"),
    "not encrypted": (5, _replace(19, b"\0"), "message 5 is not encrypted"),
    "ciphertext": (5, _replace(60, b"\xff\xff\xff\xff"), "keys or IV do|HASH_I is wrong"),
    "half a block": (
        6,
        lambda d: d[:24] + struct.pack(">I", len(d) - 8) + d[28:-8],
        "octets are not whole blocks",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_message_is_rejected_with_its_reason(join: Join, name: str) -> None:
    broken, change, reason = BROKEN[name]

    def mangle(number: int, data: bytes) -> bytes:
        return change(data) if number == broken else data

    options = {"mangle": mangle}
    initiator, responder = join(
        initiator={"retransmit": (1.0,)}, initiator_options=options, responder_options=options
    )
    initiator.initiate()
    victim = responder if broken % 2 else initiator
    rejected = victim.wait_event("rejected", 5)
    assert rejected is not None
    assert re.search(reason, rejected.text), rejected.text
    assert not victim.wait(0).established


def test_forgiving_peer_waits_for_the_good_message(join: Join) -> None:
    def with_garbage(number: int, data: bytes) -> list[bytes]:
        broken = data[:60] + bytes(4) + data[64:]
        return [broken, data] if number == 5 else [data]

    initiator, responder = join(
        initiator_options={"mangle": with_garbage}, responder_options={"forgiving": True}
    )
    initiator.initiate()
    assert initiator.wait(5).established
    assert responder.wait(5).established
    assert [e.kind for e in responder.events].count("rejected") == 1


def test_stranger_is_not_answered(join: Join) -> None:
    initiator, responder = join(responder={"remote": ("127.0.0.3", 0)})
    initiator.initiate()
    rejected = responder.wait_event("rejected", 5)
    assert "is not the other side" in rejected.text
    assert not [e for e in responder.events if e.direction == "out"]


def test_key_log_is_private_and_only_on_request(join: Join, tmp_path: Path) -> None:
    keylog = tmp_path / "keys"
    initiator, responder = join(responder={"keylog": keylog})
    initiator.initiate()
    assert initiator.wait(5).established
    result = responder.wait(5)
    cookie, key = keylog.read_text().strip().split(",")
    assert cookie == result.initiator_cookie
    assert len(bytes.fromhex(key)) == 16
    assert stat.S_IMODE(keylog.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [keylog]


def test_no_event_or_result_holds_a_secret(join: Join) -> None:
    secret = b"canary-4f1d9c7a-psk"
    initiator, responder = join(initiator={"psk": secret}, responder={"psk": secret})
    initiator.initiate()
    assert initiator.wait(5).established
    shown = repr([initiator.events, initiator.results, responder.events, responder.results])
    for spelling in (secret.decode(), secret.hex()):
        assert spelling not in shown


def test_a_second_negotiation_of_the_same_peer(join: Join) -> None:
    initiator, responder = join()
    cookies = set()
    for _ in range(3):
        initiator.initiate()
        result = initiator.wait(5)
        assert result.established
        cookies.add(result.initiator_cookie)
    assert len(cookies) == 3
    assert responder.wait_event("established", 5)


def test_misuse_is_explained() -> None:
    with pytest.raises(PeerError, match='role is "server"'):
        PeerConfig(role="server", psk=PSK)
    with pytest.raises(PeerError, match="psk is empty"):
        PeerConfig()
    with pytest.raises(PeerError, match='no peer is called "openswan"'):
        make_peer("openswan", PeerConfig(psk=PSK))
    peer = make_peer("builtin", PeerConfig(psk=PSK))
    with pytest.raises(PeerError, match="before it is started"):
        _ = peer.address
    with peer, pytest.raises(PeerError, match="cannot listen on"):
        make_peer("builtin", PeerConfig(psk=PSK, local=peer.address)).start()
    with make_peer("builtin", PeerConfig(psk=PSK)) as alone:
        assert alone.wait(0.01).reason == "nothing came from the other side"
        with pytest.raises(PeerError, match="needs the address and port"):
            alone.initiate()
