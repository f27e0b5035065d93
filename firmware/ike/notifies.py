"""Notify message types: their names, and which of them answers what. Loaded where one comes up."""

from ike import informational, wire
from ike import registry as R

# Notify message types (RFC 2408 section 3.14.1) by number.
NAMES = {
    1: "INVALID-PAYLOAD-TYPE",
    2: "DOI-NOT-SUPPORTED",
    3: "SITUATION-NOT-SUPPORTED",
    4: "INVALID-COOKIE",
    5: "INVALID-MAJOR-VERSION",
    6: "INVALID-MINOR-VERSION",
    7: "INVALID-EXCHANGE-TYPE",
    8: "INVALID-FLAGS",
    9: "INVALID-MESSAGE-ID",
    10: "INVALID-PROTOCOL-ID",
    11: "INVALID-SPI",
    12: "INVALID-TRANSFORM-ID",
    13: "ATTRIBUTES-NOT-SUPPORTED",
    14: "NO-PROPOSAL-CHOSEN",
    15: "BAD-PROPOSAL-SYNTAX",
    16: "PAYLOAD-MALFORMED",
    17: "INVALID-KEY-INFORMATION",
    18: "INVALID-ID-INFORMATION",
    19: "INVALID-CERT-ENCODING",
    20: "INVALID-CERTIFICATE",
    21: "CERT-TYPE-UNSUPPORTED",
    22: "INVALID-CERT-AUTHORITY",
    23: "INVALID-HASH-INFORMATION",
    24: "AUTHENTICATION-FAILED",
    25: "INVALID-SIGNATURE",
    30: "UNEQUAL-PAYLOAD-LENGTHS",
    24578: "INITIAL-CONTACT",
    36136: "R-U-THERE",
    36137: "R-U-THERE-ACK",
}

# What a refused first message is answered with (RFC 2408 section 5): drop reason -> notify type.
# Every other reason is met by silence.
ANSWERS = {
    "invalid-payload-type": 1,
    "unexpected-payload": 1,
    "bad-doi": 2,
    "bad-situation": 3,
    "bad-protocol-id": 10,
    "bad-spi-size": 11,
    "bad-transform-id": 12,
    "no-proposal-chosen": 14,
    "auth-method-mismatch": 14,
    "bad-proposal": 15,
    "reserved-in-proposal": 15,
    "bad-transform": 15,
    "bad-transform-count": 15,
    "attribute-overrun": 15,
    "offer-too-long": 15,
    "reserved-not-zero": 16,
    "payload-overrun": 16,
    "too-many-payloads": 16,
    "repeated-payload": 16,
    "missing-payload": 16,
    "sa-not-first": 16,
    "trailing-bytes": 30,
}


def name(number):
    """What a notify message type is called."""
    return NAMES.get(number, str(number))


def in_clear(engine, lines, header, datagram):
    """A notify that anybody may have sent changes nothing; it is a hint for whoever reads why an
    exchange failed, and an event where there is no hint yet."""
    found = wire.payloads(memoryview(datagram)[wire.HEADER : header.length], header.first)
    if not lines or lines[0].state == "ESTABLISHED":
        return
    sa = lines[0]
    for kind, body, _ in found:
        if kind == R.N:
            said = name(informational.number_of(body))
            if not sa.hint:
                engine.event("notify", peer=sa.peer.name, type=said, authenticated=False)
            sa.hint = "the peer says %s, not authenticated" % said
            return
