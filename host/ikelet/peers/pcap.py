"""Recorded datagrams as a capture file that Wireshark and tshark open."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import PcapNgWriter

from .base import Datagram


def write(path: Path | str, datagrams: Iterable[Datagram]) -> int:
    """Write a pcapng file; how many datagrams it holds.

    Each gets Ethernet, IP and UDP headers with right lengths and checksums, and its time of
    day. Wireshark takes only port 500 for ISAKMP: for others decode_as() has the option. It
    decrypts only what two different addresses exchange: by them it tells whose KE is whose.
    """
    offset = time.time() - time.monotonic()
    count = 0
    writer = PcapNgWriter(str(path))
    try:
        for count, datagram in enumerate(datagrams, 1):  # noqa: B007
            packet = _packet(datagram)
            packet.time = datagram.t + offset
            writer.write(packet)
    finally:
        writer.close()
    return count


def decode_as(datagrams: Iterable[Datagram]) -> list[str]:
    """tshark options that read every port used here as ISAKMP."""
    ports = sorted({port for d in datagrams for port in (d.source[1], d.destination[1])})
    return [word for port in ports for word in ("-d", f"udp.port=={port},isakmp")]


def _packet(datagram: Datagram) -> Packet:
    (source, sport), (destination, dport) = datagram.source, datagram.destination
    network = IPv6 if ":" in source else IP
    # Local captures have no Ethernet addresses; scapy would ask ARP for them.
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    udp = UDP(sport=sport, dport=dport)
    return ether / network(src=source, dst=destination) / udp / Raw(datagram.data)
