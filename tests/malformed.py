"""First messages that break a rule: how each is made of an honest one, and what shall come of it.

For the core in memory (tests/core) and for the agent on a board (hil); plain functions on bytes,
so that both interpreters run them. Offsets in an honest message 1 with one transform: SA payload
at 28, DOI 32, situation 36, proposal 40, transform 48, its attributes 56.
"""

import struct

SA, ID, VID = 1, 5, 13


def changed(data, at, *values):
    copy = bytearray(data)
    for offset, value in enumerate(values):
        copy[at + offset] = value
    return copy


def sa_body(message):
    """The body of the SA payload of an honest message 1."""
    return bytes(message[32 : 28 + struct.unpack_from("!H", message, 30)[0]])


def of_parts(message, parts):
    """The message with [(type, body)] for payloads."""
    chain = b""
    for index, (_, body) in enumerate(parts):
        following = parts[index + 1][0] if index + 1 < len(parts) else 0
        chain += struct.pack("!BBH", following, 0, 4 + len(body)) + body
    head = bytes(message[:16]) + bytes([parts[0][0]]) + bytes(message[17:24])
    return head + struct.pack("!I", 28 + len(chain)) + chain


def with_attribute(message, wanted, value):
    """The message with another value for one attribute of its only transform."""
    at = 56
    while at < len(message):
        kind, length = struct.unpack_from("!HH", message, at)
        if kind == 0x8000 | wanted:
            return changed(message, at + 2, value >> 8, value & 0xFF)
        at += 4 if kind & 0x8000 else 4 + length
    raise ValueError("no such attribute")


# What is wrong: (name, how it is made, the reason it is dropped for, the notify that answers it;
# None: silence).
MALFORMED = (
    ("header length + 50", lambda m: changed(m, 27, len(m) + 50), "length-mismatch", None),
    ("header length 28", lambda m: changed(m, 27, 28), "length-mismatch", None),
    ("header length 0", lambda m: changed(m, 27, 0), "length-mismatch", None),
    ("27 bytes", lambda m: m[:27], "too-short", None),
    ("one byte", lambda m: m[:1], "too-short", None),
    ("major version 2", lambda m: changed(m, 17, 0x20), "bad-major-version", None),
    ("minor version 1", lambda m: changed(m, 17, 0x11), "bad-minor-version", None),
    ("initiator cookie 0", lambda m: bytes(8) + bytes(m[8:]), "zero-cookie", None),
    ("message id", lambda m: changed(m, 23, 1), "bad-message-id", None),
    ("exchange type 0", lambda m: changed(m, 18, 0), "unsupported-exchange", None),
    ("aggressive mode", lambda m: changed(m, 18, 4), "unsupported-exchange", None),
    ("encryption flag", lambda m: changed(m, 19, 1), "unexpected-encrypted", None),
    ("auth-only flag", lambda m: changed(m, 19, 4), "bad-flags", None),
    ("no payload", lambda m: changed(m, 16, 0), "trailing-bytes", 30),
    ("payload type 99", lambda m: changed(m, 16, 99), "invalid-payload-type", 1),
    ("next payload 99", lambda m: changed(m, 28, 99), "payload-overrun", 16),
    ("RESERVED 255", lambda m: changed(m, 29, 255), "reserved-not-zero", 16),
    ("payload length 0", lambda m: changed(m, 31, 0), "payload-overrun", 16),
    ("payload length 3", lambda m: changed(m, 31, 3), "payload-overrun", 16),
    ("payload too long", lambda m: changed(m, 30, 255), "payload-overrun", 16),
    ("payload too short", lambda m: changed(m, 31, 4), "trailing-bytes", 30),
    ("DOI 0", lambda m: changed(m, 35, 0), "bad-doi", 2),
    ("DOI 5", lambda m: changed(m, 35, 5), "bad-doi", 2),
    ("situation 2", lambda m: changed(m, 39, 2), "bad-situation", 3),
    ("situation 0", lambda m: changed(m, 39, 0), "bad-situation", 3),
    ("two proposals", lambda m: changed(m, 40, 2), "bad-proposal", 15),
    ("proposal RESERVED", lambda m: changed(m, 41, 1), "reserved-in-proposal", 15),
    ("protocol ESP", lambda m: changed(m, 45, 3), "bad-protocol-id", 10),
    ("SPI size 17", lambda m: changed(m, 46, 17), "bad-spi-size", 11),
    ("no transform", lambda m: changed(m, 47, 0), "bad-transform-count", 15),
    ("transform count", lambda m: changed(m, 47, 2), "bad-transform-count", 15),
    ("transform-ID 9", lambda m: changed(m, 53, 9), "bad-transform-id", 12),
    ("transform RESERVED2", lambda m: changed(m, 54, 1), "reserved-in-proposal", 15),
    ("auth method 77", lambda m: with_attribute(m, 3, 77), "auth-method-mismatch", 14),
    ("RSA signatures only", lambda m: with_attribute(m, 3, 3), "auth-method-mismatch", 14),
    ("DES", lambda m: with_attribute(m, 1, 1), "no-proposal-chosen", 14),
    ("group 1", lambda m: with_attribute(m, 4, 1), "no-proposal-chosen", 14),
    ("group 2 without legacy", lambda m: with_attribute(m, 4, 2), "no-proposal-chosen", 14),
    ("SHA-1 without legacy", lambda m: with_attribute(m, 2, 2), "no-proposal-chosen", 14),
    ("key length 0", lambda m: with_attribute(m, 14, 0), "no-proposal-chosen", 14),
    ("two SA payloads", lambda m: of_parts(m, [(SA, sa_body(m))] * 2), "repeated-payload", 16),
    (
        "SA not first",
        lambda m: of_parts(m, [(VID, b"first"), (SA, sa_body(m))]),
        "sa-not-first",
        16,
    ),
    (
        "an unexpected payload",
        lambda m: of_parts(m, [(SA, sa_body(m)), (ID, b"x")]),
        "unexpected-payload",
        1,
    ),
)

# What a strict reading might refuse, and is none the less accepted: reserved header flags say
# nothing, and the commit bit means nothing in phase 1 (RFC 2408 section 3.1).
TOLERATED = (
    ("reserved flag 0x40", lambda m: changed(m, 19, 0x40)),
    ("commit bit", lambda m: changed(m, 19, 2)),
    ("an unknown vendor ID", lambda m: of_parts(m, [(SA, sa_body(m)), (VID, b"whoever")])),
)

# What `strict = false` lets pass besides.
ARGUABLE = ("auth-only flag", "DOI 0", "DOI 5", "situation 2", "situation 0", "transform-ID 9")
