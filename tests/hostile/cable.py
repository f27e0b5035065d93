"""Frames on a cable between network namespaces: whoever holds an end sends from any address."""

import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Address = tuple[str, int]

_CLONE_NEWNET = 0x40000000
_ETH_IPV4, _ETH_ALL = 0x0800, 3
_SO_RCVBUFFORCE, _SOL_PACKET, _PACKET_STATISTICS = 33, 263, 6
_BUFFER = 64 << 20
_ETHERNET, _IP, _UDP = 14, 20, 8
HEADERS = _ETHERNET + _IP + _UDP


@contextmanager
def inside(netns: str) -> Iterator[None]:
    """The calling thread is in a namespace: sockets that it makes, processes that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(Path("/run/netns", netns)) as away:
        for entered in (away, home):
            if libc.setns(entered.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {netns}")
            if entered is away:
                try:
                    yield
                except BaseException:
                    libc.setns(home.fileno(), _CLONE_NEWNET)
                    raise


class End:
    """One end of the cable, opened in the namespace where this is called: `send` puts a frame on
    it, `frames` tells what has come by it, or with `both` what has passed in either direction."""

    def __init__(self, device: str = "eth0", both: bool = False) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self.socket.bind((device, _ETH_ALL if both else _ETH_IPV4))  # one kind only: what comes
        self.socket.setblocking(False)
        self.mac = self.socket.getsockname()[4]

    def send(self, frame: bytes) -> None:
        self.socket.send(frame)

    def frames(self) -> Iterator[tuple[bool, bytes]]:
        """(whether it left by this end, frame) of every IPv4 frame so far."""
        while True:
            try:
                frame, (_, _, kind, _, _) = self.socket.recvfrom(65535)
            except BlockingIOError:
                return
            if frame[12:14] == b"\x08\x00":
                yield kind == socket.PACKET_OUTGOING, frame

    def lost(self) -> int:
        """Frames that nobody read in time, since the last call."""
        raw = self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        lost: int = struct.unpack("II", raw)[1]
        return lost

    def close(self) -> None:
        self.socket.close()


def udp(macs: tuple[bytes, bytes], source: Address, destination: Address, data: bytes) -> bytes:
    """A frame with one UDP datagram. `macs`: destination, source; the UDP checksum is left out."""
    size = _IP + _UDP + len(data)
    ends = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    head = struct.pack("!BBHHHBBH", 0x45, 0, size, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    ports = struct.pack("!HHHH", source[1], destination[1], _UDP + len(data), 0)
    return b"".join((*macs, struct.pack("!H", _ETH_IPV4), head, ports, data))


def parse(frame: bytes) -> tuple[Address, Address, bytes] | None:
    """(source, destination, data) of a UDP datagram, None of anything else."""
    if frame[_ETHERNET + 9] != socket.IPPROTO_UDP:
        return None
    at = _ETHERNET + 4 * (frame[_ETHERNET] & 15)
    ends = [socket.inet_ntoa(frame[_ETHERNET + n : _ETHERNET + n + 4]) for n in (12, 16)]
    sport, dport, size = struct.unpack_from("!HHH", frame, at)
    return (ends[0], sport), (ends[1], dport), frame[at + _UDP : at + size]


def length(frame: bytes) -> int:
    """Bytes of the IPv4 packet in a frame, whatever it carries."""
    return int.from_bytes(frame[_ETHERNET + 2 : _ETHERNET + 4], "big")


def destination(frame: bytes) -> bytes:
    return frame[_ETHERNET + 16 : _ETHERNET + 20]


def mac(netns: str, device: str = "eth0") -> bytes:
    """The address of a namespace's device."""
    with inside(netns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as probe:
        probe.bind((device, 0))
        found: bytes = probe.getsockname()[4]
        return found


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
