"""IKE fragmentation: payload 132, in clear, around the pieces of a whole message.

No RFC has it: it is Cisco's, and strongSwan's and Libreswan's sources are its description. A
fragment has an id, a number from 1 on, and a flag on the last one.
"""

from __future__ import annotations

import struct

from . import messages as m
from .messages import Payload, RejectedError, require

VENDOR_ID = bytes.fromhex("4048b7d56ebce88525e7de7f00d6c2d3")
ANNOUNCED = VENDOR_ID + bytes.fromhex("80000000")
_SIZE = 1252  # octets of a datagram: what crosses a path of 1280 with IPv4 and UDP
_HEADER = 4  # id, number, flags
_LAST = 1
_MAX_SIZE = 65535


def split(message: bytes) -> list[bytes]:
    """The datagrams that carry a message; where one does, the message itself."""
    if len(message) <= _SIZE:
        return [message]
    room = _SIZE - m.HEADER_SIZE - 4 - _HEADER
    pieces = [message[at : at + room] for at in range(0, len(message), room)]
    datagrams = []
    for number, piece in enumerate(pieces, 1):
        head = struct.pack(">HBB", 1, number, _LAST if number == len(pieces) else 0)
        payload = struct.pack(">BBH", 0, 0, 4 + len(head) + len(piece)) + head + piece
        cookies = message[:8], message[8:16]
        exchange, message_id = message[18], message[20:24]
        datagrams.append(m.build_message(cookies, m.FRAGMENT, payload, exchange, message_id))
    return datagrams


class Reassembly:
    """Fragments of one message, in any order."""

    def __init__(self) -> None:
        self._id: int | None = None
        self._pieces: dict[int, bytes] = {}
        self._last = 0

    def add(self, payloads: list[Payload], rest: bytes) -> bytes | None:
        """The message, once this fragment, the only payload of its datagram, completes it."""
        require(len(payloads) == 1 and not rest, "a fragment does not come alone")
        body = payloads[0].body
        require(len(body) > _HEADER, f"fragment has {len(body)} octets")
        fragment_id, number, flags = struct.unpack_from(">HBB", body)
        require(number, "number of a fragment is 0")
        require(flags in (0, _LAST), f"flags of a fragment are 0x{flags:02x}")
        if fragment_id != self._id:
            self._id, self._pieces, self._last = fragment_id, {}, 0
        self._pieces[number] = body[_HEADER:]
        if flags == _LAST:
            self._last = number
        if sum(map(len, self._pieces.values())) > _MAX_SIZE:
            self._id = None
            raise RejectedError("fragments of more than a datagram may have")
        if not self._last or any(n not in self._pieces for n in range(1, self._last + 1)):
            return None
        return b"".join(self._pieces[n] for n in range(1, self._last + 1))
