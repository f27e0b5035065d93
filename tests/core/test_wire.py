"""The codec: every length and reserved field is checked, nothing is read past the end."""

import struct

from ike import registry as R
from ike import wire
from pair import changed, dropped

HEAD = struct.pack("!8s8sBBBBII", b"i" * 8, b"r" * 8, R.SA, 0x10, 2, 0, 0, 28)


def test_header():
    header = wire.Header(HEAD)
    assert (header.cky_i, header.cky_r, header.first) == (b"i" * 8, b"r" * 8, R.SA)
    assert (header.exchange, header.msgid, header.length) == (2, 0, 28)
    assert not header.encrypted and not header.auth_only


def test_header_refusals():
    for size in range(28):
        assert dropped(wire.Header, HEAD[:size]) == "too-short"
    assert dropped(wire.Header, bytes(2049)) == "too-long"
    assert dropped(wire.Header, changed(HEAD, 17, 0x20)) == "bad-major-version"
    assert dropped(wire.Header, changed(HEAD, 17, 0x11)) == "bad-minor-version"
    assert dropped(wire.Header, changed(HEAD, 27, 29)) == "length-mismatch"
    assert dropped(wire.Header, HEAD + b"\0") == "length-mismatch"
    assert dropped(wire.Header, changed(HEAD, 24, 0xFF)) == "length-mismatch"
    assert dropped(wire.Header, bytes(8) + HEAD[8:]) == "zero-cookie"


def test_header_when_not_strict():
    assert wire.Header(HEAD + b"\0", False).length == 28
    assert dropped(wire.Header, changed(HEAD, 27, 29), False) == "length-mismatch"
    assert dropped(wire.Header, changed(HEAD, 27, 27) + b"\0", False) == "length-mismatch"


def test_reserved_flags_are_tolerated():
    for flag in (0x08, 0x10, 0x20, 0x40, 0x80):
        assert dropped(wire.Header, changed(HEAD, 19, flag)) is None


def test_payloads_round_trip():
    bodies = [(R.KE, b"k" * 5), (R.NONCE, b"n" * 16), (R.VID, b"")]
    chain = wire.chain(bodies)
    found = wire.payloads(memoryview(chain), R.KE)
    assert [(kind, bytes(body)) for kind, body, _ in found] == bodies
    assert bytes(found[1][2]) == struct.pack("!BBH", R.VID, 0, 20) + b"n" * 16
    assert wire.payloads(memoryview(b""), 0) == []


def test_payload_chain_is_padded_with_zeros():
    for size in range(33):
        chain = wire.chain([(R.HASH, b"x" * size)], 16)
        assert len(chain) % 16 == 0 and len(chain) - (4 + size) < 16
        assert chain[4 + size :] == bytes(len(chain) - 4 - size)


def test_payload_refusals():
    def walk(data, first=R.HASH, padding=0):
        return dropped(wire.payloads, memoryview(bytes(data)), first, padding)

    whole = wire.chain([(R.HASH, b"1234")])
    assert walk(whole) is None
    for length in (0, 1, 2, 3, 9, 255):
        assert walk(changed(whole, 3, length)) == "payload-overrun"
    assert walk(changed(whole, 2, 0xFF)) == "payload-overrun"
    for cut in range(1, 8):
        assert walk(whole[:cut]) == "payload-overrun"
    assert walk(b"") == "payload-overrun"
    assert walk(changed(whole, 1, 255)) == "reserved-not-zero"
    assert walk(changed(whole, 3, 7)) == "trailing-bytes"
    assert walk(bytes(whole) + bytes(16), padding=16) is None
    assert walk(bytes(whole) + bytes(17), padding=16) == "trailing-bytes"
    for tail in (b"A" * 16, b"\1" * 16, bytes(15) + b"\1", b"\1" + bytes(15)):
        assert walk(bytes(whole) + tail, padding=16) == "trailing-bytes", tail
    for tail in (b"random bytes, ra\x0f"[1:], b"ra\x02", b"random bytes ok\x10"):
        assert walk(bytes(whole) + tail, padding=16) is None, tail
    for kind in (2, 3, 14, 63, 127, 128, 132, 255):
        assert walk(whole, first=kind) == "invalid-payload-type"
        assert walk(whole, first=kind, padding=16) == (
            None if kind >= R.PRIVATE else "invalid-payload-type"
        )
    assert walk(struct.pack("!BBH", R.VID, 0, 4) * 32, R.VID) == "too-many-payloads"


def test_attributes():
    assert wire.attributes(wire.attribute(1, 7) + wire.attribute(12, 86400)) == [
        (1, 7),
        (12, 86400),
    ]
    assert wire.attributes(b"\x00\x0c\x00\x01\x09") == [(12, 9)]
    assert wire.attribute(12, 65535) == b"\x80\x0c\xff\xff"
    assert wire.attribute(12, 65536) == b"\x00\x0c\x00\x04\x00\x01\x00\x00"
    for data, reason in (
        (b"\x80", "attribute-overrun"),
        (b"\x80\x01\x00", "attribute-overrun"),
        (b"\x00\x0c\x00\x04\x00\x00\x00", "attribute-overrun"),
        (b"\x00\x01\x00\x04\x00\x00\x00", "attribute-overrun"),
    ):
        assert dropped(wire.attributes, data) == reason, data
    for data in (
        b"\x00\x01\x00\x04\x00\x00\x00\x07",
        b"\x00\x0c\x00\x00",
        b"\x00\x0c\x00\x09" + bytes(9),
    ):
        assert wire.attributes(data) == [(data[1], None)], data


ATTRS = [(1, 7), (14, 256), (2, 4), (3, 1), (4, 14)]


def test_offer_round_trip():
    transforms = (wire.transform(1, ATTRS, True), wire.transform(9, ATTRS[:1], False))
    number, parsed = wire.offer(wire.sa_body(transforms, 5))
    assert number == 5
    assert [attrs for attrs, _ in parsed] == [ATTRS, ATTRS[:1]]
    assert [bytes(raw) for _, raw in parsed] == list(transforms)


def test_offer_with_spi():
    body = wire.sa_body((wire.transform(1, ATTRS, False),))
    for size in range(17):
        longer = bytearray(body[:16]) + b"s" * size + body[16:]
        longer[14] = size
        longer[11] += size
        assert dropped(wire.offer, longer) is None
    longer = bytearray(body[:16]) + b"s" * 17 + body[16:]
    longer[14] = 17
    longer[11] += 17
    assert dropped(wire.offer, longer) == "bad-spi-size"


def test_offer_refusals():
    body = wire.sa_body((wire.transform(1, ATTRS, True), wire.transform(2, ATTRS, False)))
    second = 16 + len(wire.transform(1, ATTRS, True))
    for at, value, reason in (
        (3, 0, "bad-doi"),
        (3, 5, "bad-doi"),
        (7, 2, "bad-situation"),
        (7, 3, "bad-situation"),
        (8, 2, "bad-proposal"),
        (9, 1, "reserved-in-proposal"),
        (11, 9, "bad-proposal"),
        (13, 2, "bad-protocol-id"),
        (14, 200, "bad-spi-size"),
        (15, 1, "bad-transform-count"),
        (15, 3, "bad-transform-count"),
        (15, 0, "bad-transform-count"),
        (15, 65, "offer-too-long"),
        (16, 0, "bad-transform-count"),
        (16, 2, "bad-transform"),
        (17, 1, "reserved-in-proposal"),
        (19, 0, "bad-transform"),
        (19, 7, "bad-transform"),
        (19, 255, "bad-transform"),
        (21, 9, "bad-transform-id"),
        (22, 1, "reserved-in-proposal"),
        (second, 3, "bad-transform-count"),
    ):
        assert dropped(wire.offer, changed(body, at, value)) == reason, (at, value)
    for cut in range(len(body)):
        assert dropped(wire.offer, body[:cut]) is not None
    long = [wire.transform(1, ATTRS, i < 49) for i in range(50)]
    assert dropped(wire.offer, wire.sa_body(long[-49:])) is None
    assert dropped(wire.offer, wire.sa_body(long)) == "offer-too-long"


def test_offer_when_not_strict():
    body = wire.sa_body((wire.transform(1, ATTRS, False),))
    for at, value in ((3, 0), (3, 5), (7, 2), (21, 9)):
        assert dropped(wire.offer, changed(body, at, value), False) is None
