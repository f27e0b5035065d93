"""A test's datagrams as a pcapng file, as they left one end and as they reached the other.

Each end is an interface of the file: a datagram that was lost is on one only, a forged one on the
other only, and a comment on the packet says what the wire did. (scapy's writer has no comment on
the section, which names the test, and no description of an interface.)
"""

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_LINKTYPE_RAW = 101  # the packet begins with the IP header
_COMMENT, _APPLICATION = 1, 4
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL = 2, 3, 9
_EPB_FLAGS, _INBOUND, _OUTBOUND = 2, 1, 2
_UDP = 17

Address = tuple[str, int]


@dataclass(frozen=True)
class Interface:
    """One end, for example "agent"; the description says where it really was."""

    name: str
    description: str


@dataclass(frozen=True)
class Packet:
    """One UDP datagram at one end: `t` in seconds since 1970, `interface` an index."""

    t: float
    interface: int
    outbound: bool
    source: Address
    destination: Address
    data: bytes
    comment: str = ""


def write(
    path: Path, comment: str, interfaces: Iterable[Interface], packets: Iterable[Packet]
) -> None:
    """Write the file; the packets are put in the order of their times."""
    blocks = [_section(comment), *map(_interface, interfaces)]
    blocks += map(_packet, sorted(packets, key=lambda packet: packet.t))
    path.write_bytes(b"".join(blocks))


def _section(comment: str) -> bytes:
    head = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)
    return _block(_SECTION, head, (_COMMENT, comment.encode()), (_APPLICATION, b"ikelet"))


def _interface(interface: Interface) -> bytes:
    return _block(
        _INTERFACE,
        struct.pack("<HHI", _LINKTYPE_RAW, 0, 0),
        (_IF_NAME, interface.name.encode()),
        (_IF_DESCRIPTION, interface.description.encode()),
        (_IF_TSRESOL, b"\x09"),  # nanoseconds
    )


def _packet(packet: Packet) -> bytes:
    data = datagram(packet.source, packet.destination, packet.data)
    high, low = divmod(round(packet.t * 1e9), 1 << 32)
    head = struct.pack("<5I", packet.interface, high, low, len(data), len(data))
    flags = struct.pack("<I", _OUTBOUND if packet.outbound else _INBOUND)
    comment = [(_COMMENT, packet.comment.encode())] if packet.comment else []
    return _block(_PACKET, head + _padded(data), (_EPB_FLAGS, flags), *comment)


def datagram(source: Address, destination: Address, data: bytes) -> bytes:
    """An IP packet that carries `data` over UDP, with right lengths and checksums."""
    (ours, sport), (theirs, dport) = source, destination
    here, there = ipaddress.ip_address(ours), ipaddress.ip_address(theirs)
    length = 8 + len(data)
    udp = struct.pack("!4H", sport, dport, length, 0) + data
    pseudo = here.packed + there.packed + struct.pack("!II", length, _UDP)
    checksum = internet_checksum(pseudo + udp) or 0xFFFF
    udp = udp[:6] + checksum.to_bytes(2, "big") + udp[8:]
    if here.version == 6:
        head = struct.pack("!IHBB", 6 << 28, length, _UDP, 64)
        return head + here.packed + there.packed + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, _UDP, 0)
    head += here.packed + there.packed
    return head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + udp


def internet_checksum(data: bytes) -> int:
    """The one's complement of the one's complement sum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _block(kind: int, body: bytes, *options: tuple[int, bytes]) -> bytes:
    for code, value in options:
        body += struct.pack("<HH", code, len(value)) + _padded(value)
    if options:
        body += bytes(4)  # opt_endofopt
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
