"""Main Mode on the wire: the kernel's own time of every packet on a cable. Linux, as root."""

import ctypes
import itertools
import os
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

_CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_UDP, _IKE = 17, 500
_MAIN_MODE = 2


class CaptureError(Exception):
    """What was captured is not one whole Main Mode exchange."""


@dataclass(frozen=True)
class Packet:
    """One IKE message. `t` is in nanoseconds; `source` an address as text."""

    t: int
    source: str
    data: bytes


class Capture:
    """Every IKE message that passes `device` in a network namespace, both ways."""

    def __init__(self, namespace: str, device: str = "eth0") -> None:
        # The thread that enters the namespace ends at once; the socket stays in it.
        with ThreadPoolExecutor(1) as pool:
            self._socket = pool.submit(_open, namespace, device).result()

    def __enter__(self) -> "Capture":
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def take(self) -> list[Packet]:
        """What has passed since the last call, in order."""
        found = []
        while True:
            try:
                frame, ancillary, _, _ = self._socket.recvmsg(65535, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            packet = _ike(frame, _time(ancillary))
            if packet:
                found.append(packet)


def main_mode(packets: list[Packet]) -> list[int]:
    """The times in ns of messages 1 to 6 of the one exchange among `packets`.

    CaptureError where there is not exactly one, or a message was sent twice.
    """
    messages = [packet for packet in packets if packet.data[18] == _MAIN_MODE]
    if not messages:
        raise CaptureError("no Main Mode exchange on the wire")
    first = messages[0]
    if any(packet.data[:8] != first.data[:8] for packet in messages):
        raise CaptureError("more than one exchange on the wire")
    turns = [packet.source == first.source for packet in messages]
    if turns != [True, False] * 3:
        raise CaptureError(f"{len(messages)} messages on the wire, not six by turns")
    return [packet.t for packet in messages]


def _open(namespace: str, device: str) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(handle, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    finally:
        os.close(handle)
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.bind((device, _ETH_P_ALL))  # only "all" hears what is sent, too
    return opened


def _time(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("@ll", data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    raise CaptureError("the kernel gave no time of a packet")


def _ike(frame: bytes, t: int) -> Packet | None:
    """The IKE message in an IPv4 packet, or None where it holds none."""
    if len(frame) < 28 or frame[0] >> 4 != 4 or frame[9] != _UDP:
        return None
    udp = frame[(frame[0] & 15) * 4 :]
    ports = struct.unpack("!HH", udp[:4])
    if _IKE not in ports or len(udp) < 8 + 28:
        return None
    return Packet(t, socket.inet_ntoa(frame[12:16]), udp[8:])


def gaps(times: list[int]) -> Iterator[float]:
    """Milliseconds from each message to the next."""
    for before, after in itertools.pairwise(times):
        yield (after - before) / 1e6
