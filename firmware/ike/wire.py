"""ISAKMP header and payload codec (RFC 2408 section 3): bounded, and blind to meaning.

Everything read from a datagram is checked against what is left of it before it is used. What is
wrong is raised as Drop: the named reason under which the datagram is counted.
"""

import struct

from micropython import const

from ike import registry as R

HEADER = const(28)
MAX_MESSAGE = const(2048)  # group 18 needs 1 KB for KE; certificates come in fragments of less
MAX_WHOLE = const(8192)  # of a message in fragments: a chain of three certificates, and room
MAX_DATAGRAM = const(
    1252
)  # what crosses a path of 1280 bytes, IPv4 and the non-ESP marker included
_MAX_PAYLOADS = const(32)
_MAX_TRANSFORMS = const(64)
_MAX_OFFER = const(
    1400
)  # bytes: it is kept for HASH, and one datagram carries no more unfragmented
ZERO_COOKIE = bytes(8)

_FORMAT = const("!8s8sBBBBII")


class Drop(Exception):
    """A datagram is dropped; `args[0]` is the named reason, a counter's name."""


class Header:
    """A checked ISAKMP header (RFC 2408 section 3.1). Cookies are 8 bytes each.

    `strict=False` lets bytes behind the message's own length pass (they are not read).
    """

    def __init__(self, datagram, strict=True, limit=MAX_MESSAGE):
        size = len(datagram)
        if size < HEADER:
            raise Drop("too-short")
        if size > limit:
            raise Drop("too-long")
        self.cky_i, self.cky_r, self.first, version, self.exchange, flags, self.msgid, length = (
            struct.unpack_from(_FORMAT, datagram)
        )
        if version >> 4 != 1:
            raise Drop("bad-major-version")
        if version & 15:
            raise Drop("bad-minor-version")
        if length != size and (strict or not HEADER <= length < size):
            raise Drop("length-mismatch")
        if self.cky_i == ZERO_COOKIE:
            raise Drop("zero-cookie")
        self.encrypted = bool(flags & R.FLAG_ENCRYPTION)
        self.length = length
        self.auth_only = bool(flags & R.FLAG_AUTH_ONLY)


def payloads(chain, first, padding=0):
    """Walk a payload chain: [(type, body, whole)], bodies without their generic header.

    `chain` is a memoryview of what follows the ISAKMP header, `first` the type of its first
    payload (RFC 2408 section 3.2). `padding` is the cipher's block, 0 for a message in clear: so
    much may follow the last payload, and payloads of private types may stand between.
    """
    found = []
    at = 0
    end = len(chain)
    while first:
        if len(found) == _MAX_PAYLOADS:
            raise Drop("too-many-payloads")
        if end - at < 4:
            raise Drop("payload-overrun")
        length = chain[at + 2] << 8 | chain[at + 3]
        if chain[at + 1]:
            raise Drop("reserved-not-zero")
        if length < 4 or length > end - at:
            raise Drop("payload-overrun")
        if first not in R.PAYLOAD_NAMES and not (padding and first >= R.PRIVATE):
            raise Drop("invalid-payload-type")
        found.append((first, chain[at + 4 : at + length], chain[at : at + length]))
        first = chain[at]
        at += length
    tail = bytes(chain[at:])
    # Zeros (RFC 2409 appendix B), or racoon's random bytes that end in their own count. Anything
    # else is not the peer's: the IV would take it up, and HASH does not cover it.
    if len(tail) > padding or (any(tail) and tail[-1] not in (len(tail), len(tail) - 1)):
        raise Drop("trailing-bytes")
    return found


def chain(bodies, block=1):
    """Join [(type, body)] into a payload chain, zero-padded to a multiple of `block` bytes."""
    size = 0
    for _, body in bodies:
        size += 4 + len(body)
    out = bytearray(size + -size % block)
    at = 0
    for index, (_, body) in enumerate(bodies):
        following = bodies[index + 1][0] if index + 1 < len(bodies) else 0
        length = 4 + len(body)
        struct.pack_into("!BBH", out, at, following, 0, length)
        out[at + 4 : at + length] = body
        at += length
    return out


def message(cky_i, cky_r, first, exchange, encrypted, msgid, content):
    """A whole ISAKMP message: header and content (a payload chain, or its ciphertext)."""
    head = struct.pack(
        _FORMAT,
        cky_i,
        cky_r,
        first,
        0x10,
        exchange,
        R.FLAG_ENCRYPTION if encrypted else 0,
        msgid,
        HEADER + len(content),
    )
    return head + content


def attribute(kind, value):
    """One SA attribute (RFC 2408 section 3.3): basic below 65536, else variable with 4 bytes."""
    if value < 0x10000:
        return struct.pack("!HH", 0x8000 | kind, value)
    return struct.pack("!HHI", kind, 4, value)


def attributes(data):
    """Parse SA attributes: [(type, value)].

    Only a life duration may be of variable length (RFC 2409 appendix A), here of 1 to 8 bytes;
    any other that is has the value None, which nothing matches.
    """
    found = []
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            raise Drop("attribute-overrun")
        kind, value = struct.unpack("!HH", data[at : at + 4])
        at += 4
        if kind & 0x8000:
            kind &= 0x7FFF
        else:
            if value > len(data) - at:
                raise Drop("attribute-overrun")
            variable = bytes(data[at : at + value])
            at += value
            value = None
            if kind == R.LIFE_DURATION and 1 <= len(variable) <= 8:
                value = int.from_bytes(variable, "big")
        found.append((kind, value))
    return found


def transform(number, attrs, more):
    """A transform payload, KEY_IKE (RFC 2408 section 3.6; RFC 2407 section 4.4.2)."""
    content = b"".join([attribute(kind, value) for kind, value in attrs])
    return (
        struct.pack("!BBHBBH", R.TRANSFORM if more else 0, 0, 8 + len(content), number, 1, 0)
        + content
    )


def sa_body(transforms, number=1):
    """The body of an SA payload: IPsec DOI, identity only, one ISAKMP proposal without SPI
    (RFC 2408 sections 3.4 and 3.5). `transforms`: transform payloads, as bytes.
    """
    content = b"".join(transforms)
    return (
        struct.pack("!IIBBHBBBB", 1, 1, 0, 0, 8 + len(content), number, 1, 0, len(transforms))
        + content
    )


def offer(body, strict=True):
    """Parse the body of an SA payload: (proposal number, [(attributes, transform payload)]).

    Checks DOI, situation, the single proposal, protocol, SPI size and the transforms' framing.
    `strict=False` lets a wrong DOI, situation and transform ID pass, as some gateways do.
    """
    if len(body) < 16:
        raise Drop("bad-proposal")
    doi, situation, following, reserved, length, proposal, protocol, spi_size, count = (
        struct.unpack("!IIBBHBBBB", body[:16])
    )
    if strict and doi != 1:
        raise Drop("bad-doi")
    if strict and situation != 1:
        raise Drop("bad-situation")
    if reserved:
        raise Drop("reserved-in-proposal")
    if following or length != len(body) - 8:  # one proposal in phase 1 (RFC 2409 section 5)
        raise Drop("bad-proposal")
    if count > _MAX_TRANSFORMS or len(body) > _MAX_OFFER:
        raise Drop("offer-too-long")
    if protocol != 1:
        raise Drop("bad-protocol-id")
    if spi_size > 16 or 16 + spi_size > len(body):
        raise Drop("bad-spi-size")
    found = []
    at = 16 + spi_size
    following = R.TRANSFORM
    while following:
        if len(found) == count or len(body) - at < 8:
            raise Drop("bad-transform-count")
        following, reserved, length, _, kind, reserved2 = struct.unpack(
            "!BBHBBH", body[at : at + 8]
        )
        if reserved or reserved2:
            raise Drop("reserved-in-proposal")
        if following not in (0, R.TRANSFORM) or length < 8 or length > len(body) - at:
            raise Drop("bad-transform")
        if strict and kind != 1:
            raise Drop("bad-transform-id")
        found.append((attributes(body[at + 8 : at + length]), body[at : at + length]))
        at += length
    if len(found) != count or at != len(body):
        raise Drop("bad-transform-count")
    return proposal, found
