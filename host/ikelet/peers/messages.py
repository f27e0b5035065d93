"""ISAKMP messages: built with scapy's layers, taken apart strictly.

scapy's own dissection is lenient (it reads past wrong lengths), so the chain of payloads is
walked here first and only then handed to scapy, one payload at a time. Two things are encoded
here because scapy cannot: transform attributes (it writes a life duration above 65535 in as
few octets as fit, where gateways send four, and forgets on reading whether an attribute was
basic or variable), and payloads it has no layer for.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from cryptography import x509
from scapy.layers import isakmp
from scapy.layers.x509 import X509_DirectoryName
from scapy.packet import Packet, Raw

from ikelet import pki

from .suites import CIPHERS, GROUPS, HASHES, Suite

HEADER_SIZE = 28
MAIN_MODE, INFORMATIONAL, QUICK_MODE = 2, 5, 32
ENCRYPTED = 1

SA, KE, ID, CERT, CERTREQ, HASH, SIG, NONCE, NOTIFY, DELETE, VENDOR_ID, FRAGMENT = (
    1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 132,
)  # fmt: skip
NAMES = {
    SA: "SA", KE: "KE", ID: "ID", CERT: "CERT", CERTREQ: "CERTREQ", HASH: "HASH", SIG: "SIG",
    NONCE: "NONCE", NOTIFY: "N", DELETE: "D", VENDOR_ID: "VID", 20: "NAT-D", FRAGMENT: "FRAG",
}  # fmt: skip


class _Cert(isakmp.ISAKMP_payload):
    """Encoding and certificate (RFC 2408 3.9)."""


class _CertRequest(isakmp.ISAKMP_payload):
    """Encoding and the name of a CA (RFC 2408 3.10)."""


_LAYERS = {
    SA: isakmp.ISAKMP_payload_SA,
    KE: isakmp.ISAKMP_payload_KE,
    ID: isakmp.ISAKMP_payload_ID,
    CERT: _Cert,
    CERTREQ: _CertRequest,
    HASH: isakmp.ISAKMP_payload_Hash,
    SIG: isakmp.ISAKMP_payload_SIG,
    NONCE: isakmp.ISAKMP_payload_Nonce,
    NOTIFY: isakmp.ISAKMP_payload_Notify,
    DELETE: isakmp.ISAKMP_payload_Delete,
    VENDOR_ID: isakmp.ISAKMP_payload_VendorID,
}

NO_PROPOSAL_CHOSEN, INITIAL_CONTACT = 14, 24578
NOTIFY_NAMES = isakmp.NotifyMessageType

# Attribute types of RFC 2409 A.
ENCRYPTION, HASH_ALGORITHM, AUTHENTICATION, GROUP = 1, 2, 3, 4
LIFE_TYPE, LIFE_DURATION, KEY_LENGTH = 11, 12, 14
PSK, SECONDS = 1, 1
METHODS = {
    PSK: "a pre-shared key", 3: "RSA signatures", 9: "ECDSA with P-256",
    10: "ECDSA with P-384", 11: "ECDSA with P-521",
}  # fmt: skip


class RejectedError(Exception):
    """A message broke a rule; the text says which. `notify` is the error code to answer."""

    def __init__(self, reason: str, notify: int | None = None) -> None:
        super().__init__(reason)
        self.notify = notify


def require(condition: object, reason: str, notify: int | None = None) -> None:
    if not condition:
        raise RejectedError(reason, notify)


# -- taking apart ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Header:
    initiator_cookie: bytes
    responder_cookie: bytes
    first: int
    exchange: int
    flags: int
    message_id: bytes

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & ENCRYPTED)


@dataclass(frozen=True)
class Payload:
    """`raw` is the payload as sent, generic header and all."""

    kind: int
    raw: bytes

    @property
    def body(self) -> bytes:
        """What follows the generic header: SAi_b, IDii_b and the like."""
        return self.raw[4:]

    def dissect(self) -> Packet:
        """scapy's view of it; scapy fails in many ways on payloads that are cut short."""
        try:
            return _LAYERS[self.kind](self.raw)
        except Exception as error:
            raise RejectedError(f"payload {self.name} cannot be dissected: {error}") from error

    @property
    def name(self) -> str:
        return NAMES.get(self.kind, str(self.kind))


def parse_header(data: bytes) -> Header:
    """The ISAKMP header of RFC 2408 3.1, every field checked that needs no state."""
    require(len(data) >= HEADER_SIZE, f"{len(data)} octets are less than an ISAKMP header")
    layer = isakmp.ISAKMP(data[:HEADER_SIZE])
    require(layer.version == 0x10, f"version is 0x{layer.version:02x}, not 0x10")
    require(
        layer.length == len(data),
        f"header says {layer.length} octets, the datagram has {len(data)}",
    )
    require(any(layer.init_cookie), "initiator cookie is zero")
    flags = int(layer.flags)
    require(not flags & ~ENCRYPTED, f"flags are 0x{flags:02x}; only encryption may be set")
    return Header(
        layer.init_cookie,
        layer.resp_cookie,
        layer.next_payload,
        layer.exch_type,
        flags,
        data[20:24],
    )


def split(first: int, data: bytes) -> tuple[list[Payload], bytes]:
    """The payloads that start with type `first`, and the octets after the last."""
    payloads, kind = [], first
    while kind:
        name = NAMES.get(kind, str(kind))
        require(len(data) >= 4, f"message ends inside the header of payload {name}")
        following, reserved, length = struct.unpack_from(">BBH", data)
        require(not reserved, f"RESERVED of payload {name} is 0x{reserved:02x}")
        require(4 <= length <= len(data), f"payload {name} says {length} of {len(data)} octets")
        payloads.append(Payload(kind, data[:length]))
        kind, data = following, data[length:]
    return payloads, data


def only(payloads: list[Payload], wanted: tuple[int, ...], also: tuple[int, ...] = ()) -> list:
    """The payloads of the `wanted` types, in that order; each must be there exactly once.

    Any number of the types in `also` may be there besides, and no others.
    """
    found = []
    for kind in wanted:
        matches = [payload for payload in payloads if payload.kind == kind]
        require(len(matches) == 1, f"{len(matches)} payloads {NAMES[kind]} instead of one")
        found += matches
    for payload in payloads:
        require(payload.kind in wanted + also, f"payload {payload.name} does not belong here")
    return found


@dataclass(frozen=True)
class Transform:
    """One transform; `attributes` maps type to value, `encoded` is how they were written."""

    number: int
    attributes: dict[int, int]
    encoded: bytes

    @property
    def suite(self) -> Suite | None:
        """What it negotiates, or None where that is something this peer does not do."""
        get = self.attributes.get
        cipher = next(
            (
                cipher
                for cipher in CIPHERS.values()
                if cipher.number == get(ENCRYPTION)
                and get(KEY_LENGTH) == (cipher.key_size * 8 if cipher.variable_key else None)
            ),
            None,
        )
        name = next((name for name, n in HASHES.items() if n == get(HASH_ALGORITHM)), None)
        group = next((group for group in GROUPS.values() if group.number == get(GROUP)), None)
        return Suite(cipher, name, group) if cipher and name and group else None

    @property
    def method(self) -> int | None:
        """The authentication method, a number of METHODS where this peer may know it."""
        return self.attributes.get(AUTHENTICATION)


def parse_sa(payload: Payload) -> tuple[int, list[Transform]]:
    """Proposal number and transforms of a phase 1 SA payload (RFC 2408 3.4 to 3.6)."""
    body = payload.body
    require(len(body) >= 16, f"SA body has {len(body)} octets, too few for a proposal")
    doi, situation = struct.unpack_from(">II", body)
    require(doi == 1, f"DOI is {doi}, not IPsec (1)", 2)
    require(situation == 1, f"situation is {situation}, not identity only (1)", 3)
    following, reserved, length, number, protocol, spi_size, count = struct.unpack_from(
        ">BBHBBBB", body, 8
    )
    require(following == 0, f"next payload of the proposal is {following}; phase 1 has one", 15)
    require(not reserved, f"RESERVED of the proposal is 0x{reserved:02x}", 15)
    require(length == len(body) - 8, f"proposal says {length} of {len(body) - 8} octets", 15)
    require(protocol == 1, f"protocol of the proposal is {protocol}, not ISAKMP (1)", 10)
    require(spi_size <= 16, f"SPI size of the proposal is {spi_size}; at most 16", 15)
    transforms = _parse_transforms(body[16 + spi_size :])
    require(
        len(transforms) == count,
        f"proposal says {count} transforms and has {len(transforms)}",
        15,
    )
    return number, transforms


def _parse_transforms(data: bytes) -> list[Transform]:
    transforms, following = [], 3
    while following:
        require(len(data) >= 8, "proposal ends inside the header of a transform", 15)
        following, reserved, length, number, kind, reserved2 = struct.unpack_from(">BBHBBH", data)
        where = f"transform {number}"
        require(following in (0, 3), f"next payload of {where} is {following}", 15)
        require(not reserved and not reserved2, f"RESERVED of {where} is not zero", 15)
        require(8 <= length <= len(data), f"{where} says {length} of {len(data)} octets", 15)
        require(kind == 1, f"transform ID of {where} is {kind}, not KEY_IKE (1)", 12)
        encoded = data[8:length]
        transforms.append(Transform(number, _parse_attributes(encoded, where), encoded))
        data = data[length:]
    require(not data, f"{len(data)} octets after the last transform", 15)
    return transforms


def _parse_attributes(data: bytes, where: str) -> dict[int, int]:
    """Data attributes of RFC 2408 3.3; only a life duration may be of variable length."""
    attributes: dict[int, int] = {}
    while data:
        require(len(data) >= 4, f"{where} ends inside an attribute", 15)
        kind, value = struct.unpack_from(">HH", data)
        basic, kind, data = kind & 0x8000, kind & 0x7FFF, data[4:]
        if not basic:
            require(kind == LIFE_DURATION, f"attribute {kind} of {where} is not basic", 15)
            require(0 < value <= min(len(data), 8), f"life duration of {where} is cut off", 15)
            value, data = int.from_bytes(data[:value], "big"), data[value:]
        require(kind not in attributes, f"attribute {kind} of {where} is there twice", 15)
        attributes[kind] = value
    return attributes


# -- building -------------------------------------------------------------------------------


def transform(number: int, suite: Suite, lifetime: int, method: int = PSK) -> Transform:
    """A transform that offers `suite`, `lifetime` in seconds and an authentication method."""
    attributes = {ENCRYPTION: suite.cipher.number}
    if suite.cipher.variable_key:
        attributes[KEY_LENGTH] = suite.cipher.key_size * 8
    attributes |= {
        HASH_ALGORITHM: HASHES[suite.hash],
        GROUP: suite.group.number,
        AUTHENTICATION: method,
        LIFE_TYPE: SECONDS,
        LIFE_DURATION: lifetime,
    }
    encoded = b"".join(
        struct.pack(">HH", kind | 0x8000, value)
        if value < 0x10000
        else struct.pack(">HHI", kind, 4, value)
        for kind, value in attributes.items()
    )
    return Transform(number, attributes, encoded)


def build_sa(proposal: int, transforms: list[Transform]) -> Packet:
    chain: Packet | None = None
    for transform in reversed(transforms):
        body = struct.pack(">BBH", transform.number, 1, 0) + transform.encoded
        layer = isakmp.ISAKMP_payload(next_payload=3 if chain else 0, load=body)
        chain = layer / chain if chain else layer
    return isakmp.ISAKMP_payload_SA(
        prop=isakmp.ISAKMP_payload_Proposal(
            proposal=proposal, proto=1, trans_nb=len(transforms), trans=chain
        )
    )


def build_ke(public: bytes) -> Packet:
    return isakmp.ISAKMP_payload_KE(ke=public)


def build_nonce(nonce: bytes) -> Packet:
    return isakmp.ISAKMP_payload_Nonce(nonce=nonce)


def build_hash(value: bytes) -> Packet:
    return isakmp.ISAKMP_payload_Hash(hash=value)


def build_signature(value: bytes) -> Packet:
    return isakmp.ISAKMP_payload_SIG(sig=value)


def build_certificate(body: bytes) -> Packet:
    return _Cert(load=body)


def build_request(body: bytes) -> Packet:
    return _CertRequest(load=body)


def build_vendor_id(body: bytes) -> Packet:
    return isakmp.ISAKMP_payload_VendorID(VendorID=body)


def build_id(body: bytes) -> Packet:
    """An identification payload of the octets `identity` made."""
    return isakmp.ISAKMP_payload_ID(bytes(isakmp.ISAKMP_payload(load=body)))


def build_delete(cookies: bytes) -> Packet:
    return isakmp.ISAKMP_payload_Delete(doi=1, proto=1, SPIs=[cookies])


def build_notify(kind: int, spi: bytes = b"") -> Packet:
    return isakmp.ISAKMP_payload_Notify(doi=1, proto=1, SPI=spi, notify_msg_type=kind)


def identity(name: str) -> bytes:
    """Body of an ID payload: type, protocol and port zero, data (RFC 2407 4.6.2)."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        if "=" in name:
            return struct.pack(">BBH", 9, 0, 0) + pki.name(name).public_bytes()
        kind = 3 if "@" in name else 2
        return struct.pack(">BBH", kind, 0, 0) + name.encode()
    return struct.pack(">BBH", 1 if address.version == 4 else 5, 0, 0) + address.packed


def describe_identity(body: bytes) -> str:
    kind, data = body[0], body[4:]
    if (kind, len(data)) in ((1, 4), (5, 16)):
        return str(ipaddress.ip_address(data))
    if kind == 9:
        return pki.text(parse_name(data))
    return data.decode("ascii", "replace") if kind in (2, 3) else f"type {kind} {data.hex()}"


def parse_name(der: bytes) -> x509.Name:
    """A distinguished name of an ID or a CERTREQ payload."""
    try:
        return x509.Name(
            x509.RelativeDistinguishedName(
                x509.NameAttribute(x509.ObjectIdentifier(one.type.val), one.value.val.decode())
                for one in rdn.rdn
            )
            for rdn in X509_DirectoryName(der).directoryName
        )
    except Exception as error:  # scapy fails in many ways on what is cut short
        raise RejectedError(f"no distinguished name: {der.hex()}", 18) from error


def build_chain(layers: list[Packet]) -> tuple[int, bytes]:
    """Type of the first payload and the octets of all, with their next-payload fields set."""
    kinds = [_kind(layer) for layer in layers]
    for layer, following in zip(layers, [*kinds[1:], 0], strict=True):
        layer.next_payload = following
    return kinds[0], b"".join(bytes(layer) for layer in layers)


def names(layers: list[Packet]) -> tuple[str, ...]:
    return tuple(NAMES[_kind(layer)] for layer in layers)


def _kind(layer: Packet) -> int:
    return next(kind for kind, known in _LAYERS.items() if type(layer) is known)


def build_message(
    cookies: tuple[bytes, bytes],
    first: int,
    body: bytes,
    exchange: int = MAIN_MODE,
    message_id: bytes = bytes(4),
    encrypted: bool = False,
) -> bytes:
    """A whole datagram; the header's length covers `body`, padding included."""
    header = isakmp.ISAKMP(
        init_cookie=cookies[0],
        resp_cookie=cookies[1],
        next_payload=first,
        exch_type=exchange,
        flags=ENCRYPTED if encrypted else 0,
        id=int.from_bytes(message_id, "big"),
    )
    return bytes(header / Raw(body))
