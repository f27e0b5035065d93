"""Octets on the wire, and what the parser refuses."""

import pytest

from ikelet.peers import messages as m
from ikelet.peers.suites import parse

COOKIES = (b"\x01" * 8, b"\x02" * 8)
SA_BODY = bytes.fromhex(
    "00000001 00000001"  # DOI, situation
    "0000002c 01010001"  # proposal 1, ISAKMP, no SPI, one transform
    "00000024 01010000"  # transform 1, KEY_IKE
    "80010007 800e0080 80020002 80040002 80030001 800b0001 800c7080"
)


def _header(**changes: object) -> bytes:
    data = m.build_message(COOKIES, m.KE, bytes(m.build_ke(b"\x05" * 4)))
    for at, value in changes.items():
        at = int(at[1:])
        data = data[:at] + value + data[at + len(value) :]
    return data


def _payload(kind: int, body: bytes) -> m.Payload:
    (payload,), _ = m.split(kind, b"\x00\x00" + (len(body) + 4).to_bytes(2, "big") + body)
    return payload


def _sa(at: int, value: str) -> m.Payload:
    changed = bytes.fromhex(value)
    return _payload(m.SA, SA_BODY[:at] + changed + SA_BODY[at + len(changed) :])


def test_sa_is_built_as_gateways_send_it() -> None:
    transform = m.transform(1, parse("aes128-sha1-modp1024"), 28800)
    assert bytes(m.build_sa(1, [transform])) == b"\0\0\0\x38" + SA_BODY


def test_long_lifetime_has_four_octets() -> None:
    transform = m.transform(1, parse("3des-md5-modp1024"), 86400)
    expected = "80010005 80020001 80040002 80030001 800b0001 000c000400015180"
    assert transform.encoded == bytes.fromhex(expected)


def test_transforms_are_chained() -> None:
    suites = [parse(name) for name in ("aes256-sha256-modp2048", "3des-md5-modp1024")]
    offered = [m.transform(number, suite, 86400) for number, suite in enumerate(suites, 1)]
    built = bytes(m.build_sa(1, offered))
    assert m.parse_sa(_payload(m.SA, built[4:])) == (1, offered)
    assert [str(transform.suite) for transform in offered] == [str(suite) for suite in suites]


def test_delete_and_notify_octets() -> None:
    cookies = b"".join(COOKIES)
    assert (
        bytes(m.build_delete(cookies)).hex()
        == "0000001c 00000001 01 10 0001".replace(" ", "") + cookies.hex()
    )
    notify = m.build_notify(m.NO_PROPOSAL_CHOSEN)
    assert bytes(notify).hex() == "0000000c00000001 0100 000e".replace(" ", "")


def test_identity_octets() -> None:
    assert m.identity("10.0.3.10").hex() == "010000000a00030a"
    assert m.identity("::1").hex() == "05000000" + "00" * 15 + "01"
    assert m.identity("gw.example").hex() == "02000000" + b"gw.example".hex()
    assert bytes(m.build_id(m.identity("10.0.3.10"))).hex() == "0000000c010000000a00030a"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 octets are less than an ISAKMP header"),
        (_header()[:27], "27 octets are less"),
        (_header(_17=b"\x20"), "version is 0x20"),
        (_header(_17=b"\x11"), "version is 0x11"),
        (_header(_19=b"\x02"), "flags are 0x02"),
        (_header(_19=b"\x40"), "flags are 0x40"),
        (_header(_0=bytes(8)), "initiator cookie is zero"),
        (_header() + b"\0", "header says 36 octets, the datagram has 37"),
        (_header()[:-1], "header says 36 octets, the datagram has 35"),
    ],
)
def test_bad_header_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(m.RejectedError, match=reason):
        m.parse_header(data)


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ("0a0000", "message ends inside the header of payload KE"),
        ("00010004", "RESERVED of payload KE is 0x01"),
        ("00000003", "payload KE says 3 of 4 octets"),
        ("00000005", "payload KE says 5 of 4 octets"),
        ("0a000004", "message ends inside the header of payload NONCE"),
    ],
)
def test_bad_chain_is_rejected(chain: str, reason: str) -> None:
    with pytest.raises(m.RejectedError, match=reason):
        m.split(m.KE, bytes.fromhex(chain))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (_sa(0, "00000000"), "DOI is 0"),
        (_sa(4, "00000002"), "situation is 2"),
        (_sa(8, "02"), "next payload of the proposal is 2"),
        (_sa(9, "01"), "RESERVED of the proposal"),
        (_sa(10, "002d"), "proposal says 45 of 44"),
        (_sa(13, "02"), "protocol of the proposal is 2"),
        (_sa(14, "11"), "SPI size of the proposal is 17"),
        (_sa(15, "02"), "says 2 transforms and has 1"),
        (_sa(16, "02"), "next payload of transform 1 is 2"),
        (_sa(17, "01"), "RESERVED of transform 1"),
        (_sa(18, "0023"), "ends inside an attribute"),
        (_sa(18, "0025"), "transform 1 says 37 of 36"),
        (_sa(21, "09"), "transform ID of transform 1 is 9"),
        (_sa(22, "0001"), "RESERVED of transform 1"),
        (_sa(24, "0001"), "attribute 1 of transform 1 is not basic"),
        (_sa(32, "80010007"), "attribute 1 of transform 1 is there twice"),
        (_sa(48, "000c0004"), "life duration of transform 1 is cut off"),
        (_payload(m.SA, SA_BODY[:15]), "15 octets, too few"),
    ],
)
def test_bad_sa_is_rejected(payload: m.Payload, reason: str) -> None:
    with pytest.raises(m.RejectedError, match=reason):
        m.parse_sa(payload)


@pytest.mark.parametrize(
    ("at", "value"),
    [(26, "0005"), (30, "0000"), (30, "00c1"), (34, "0007"), (38, "0001")],
    ids=["3des-with-key-length", "key-length-0", "key-length-193", "hash", "group"],
)
def test_transform_we_do_not_do_is_no_suite(at: int, value: str) -> None:
    _, (transform,) = m.parse_sa(_sa(at, value))
    assert transform.suite is None


def test_method_is_apart_from_the_suite() -> None:
    _, (transform,) = m.parse_sa(_sa(42, "0003"))
    assert (str(transform.suite), transform.method) == ("aes128-sha1-modp1024", 3)


def test_only_wants_each_payload_once() -> None:
    ke, nonce, hash_ = (_payload(kind, b"12345678") for kind in (m.KE, m.NONCE, m.HASH))
    assert m.only([nonce, ke], (m.KE, m.NONCE)) == [ke, nonce]
    with pytest.raises(m.RejectedError, match="2 payloads KE instead of one"):
        m.only([ke, nonce, ke], (m.KE, m.NONCE))
    with pytest.raises(m.RejectedError, match="0 payloads NONCE"):
        m.only([ke], (m.KE, m.NONCE))
    with pytest.raises(m.RejectedError, match="payload HASH does not belong here"):
        m.only([ke, nonce, hash_], (m.KE, m.NONCE))
