"""The capture's writer, read by scapy and by tshark."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.utils import PcapNgReader

from ikelet_hil import pcapng
from ikelet_hil.pcapng import Interface, Packet

HERE, THERE = ("192.0.2.1", 500), ("192.0.2.2", 4500)
ENDS = [Interface("agent", "the agent's end"), Interface("peer", "the peer's end")]


def packets() -> list[Packet]:
    return [
        Packet(1_800_000_001.25, 1, False, HERE, THERE, b"odd", "arrived late"),
        Packet(1_800_000_000.000000001, 0, True, HERE, THERE, b"first datagram"),
        Packet(1_800_000_002.5, 1, True, THERE, HERE, bytes(1400)),
    ]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "capture.pcapng"
    pcapng.write(path, "hil/test_psk.py::test_suite", ENDS, packets())
    return path


def test_scapy_reads_it(capture: Path) -> None:
    with PcapNgReader(str(capture)) as reader:
        read = list(reader)
    assert [bytes(packet[UDP].payload) for packet in read] == [
        b"first datagram",
        b"odd",
        bytes(1400),
    ]
    assert [packet.sniffed_on for packet in read] == ["agent", "peer", "peer"]
    assert [float(packet.time) for packet in read] == pytest.approx(
        [1_800_000_000, 1_800_000_001.25, 1_800_000_002.5]
    )
    assert read[1].comments == [b"arrived late"]
    for packet in read:
        again = IP(bytes(packet))
        for layer in (again, again[UDP]):
            stated, layer.chksum = layer.chksum, None
            assert IP(bytes(again))[type(layer)].chksum == stated


def test_tshark_reads_it(capture: Path, require: Callable[[str], None]) -> None:
    require("tshark")
    wanted = ["frame.interface_name", "frame.packet_flags_direction", "frame.comment", "ip.src"]
    options = [word for field in wanted for word in ("-e", field)]
    command = ["tshark", "-r", str(capture), "-o", "udp.check_checksum:TRUE", "-T", "fields"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["agent", "peer", "peer"]
    assert [int(row[1], 16) for row in rows] == [2, 1, 2]
    assert rows[1][2:] == ["arrived late", "192.0.2.1"]
    done = subprocess.run(["capinfos", str(capture)], capture_output=True, text=True, check=True)
    assert "hil/test_psk.py::test_suite" in done.stdout
    assert "the agent's end" in done.stdout


def test_ipv6() -> None:
    data = pcapng.datagram(("2001:db8::1", 500), ("2001:db8::2", 500), b"hello")
    from scapy.layers.inet6 import IPv6

    read = IPv6(data)
    stated, read[UDP].chksum = read[UDP].chksum, None
    assert IPv6(bytes(read))[UDP].chksum == stated
    assert (read.src, read.dst, bytes(read[UDP].payload)) == (
        "2001:db8::1",
        "2001:db8::2",
        b"hello",
    )


def test_checksum_of_the_rfc() -> None:
    """RFC 1071, section 3."""
    assert pcapng.internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF
