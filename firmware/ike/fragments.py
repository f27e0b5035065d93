"""IKE fragmentation (payload 132, of Cisco and strongSwan): a message in several datagrams.

Stock firmware cannot receive IP fragments, and a message with certificates is larger than a
packet. Fragments are clear datagrams around the pieces of a whole message, and prove nothing: so
they are taken only within an exchange whose next message may be large, bounded in number and
size, and the newest of two that differ counts. What is put together stays until a message was
accepted: a forged piece costs nothing but its place, which the honest one takes again.
"""

import struct

from micropython import const

from ike import registry as R
from ike import wire
from ike.wire import Drop

_MAX_FRAGMENTS = const(24)  # 8 KB in the smallest that routers ask for, 400 bytes
_ID = const(1)  # only one message is under way at a time; peers use a constant too
_LAST = const(1)
_HEADER = const(8)  # of the payload: generic header, fragment id, number, flags
_MAY_BE_LARGE = ("MAIN_R2", "MAIN_I3", "ESTABLISHED")  # the next message, or its repetition


def reassembled(sa, header, datagram):
    """(header, message) of what came in fragments for an exchange, None where some are missing."""
    if header.encrypted or header.exchange != R.ID_PROT or header.msgid:
        raise Drop("bad-fragment")
    if "fragmentation" not in sa.peer.capable or sa.state not in _MAY_BE_LARGE:
        raise Drop("unexpected-fragment")
    if sa.is_settled():
        raise Drop("already-established")
    if sa.reassembly is None:
        sa.reassembly = Reassembly()
    message = sa.reassembly.add(memoryview(datagram)[wire.HEADER : header.length])
    if message is None:
        return None
    header = wire.Header(message, sa.engine.strict, wire.MAX_WHOLE)
    if (header.cky_i, header.cky_r) != (sa.cky_i, sa.cky_r) or header.first == R.FRAGMENT:
        raise Drop("bad-fragment")
    return header, message


class Reassembly:
    """The fragments of one message."""

    def __init__(self):
        self._parts = {}  # number: bytes
        self._id = None
        self._last = 0  # the number of the last one, 0 while unknown

    def add(self, content):
        """Take one fragment payload: the whole message where it completes one, else None.

        `content` is a memoryview of what follows the ISAKMP header. Drop.
        """
        number, last, fragment_id, data = _parse(content)
        if fragment_id != self._id:
            self.clear()
            self._id = fragment_id
        if self._parts.get(number) == data:
            if number == self._last:  # all of it again: what hindered us may be over
                return self._whole()
            raise Drop("fragment-again")
        if last:
            self._last = number
            for other in [n for n in self._parts if n > number]:
                del self._parts[other]
        elif number == self._last:
            self._last = 0
        elif self._last and number > self._last:
            raise Drop("fragment-behind-last")
        self._parts[number] = data
        if sum([len(part) for part in self._parts.values()]) > wire.MAX_WHOLE:
            self.clear()
            raise Drop("fragments-too-large")
        return self._whole()

    def _whole(self):
        if not self._last or len(self._parts) < self._last:
            return None
        return b"".join([self._parts[n] for n in range(1, self._last + 1)])

    def clear(self):
        self._parts = {}
        self._id = None
        self._last = 0


def _parse(content):
    """(number, is the last, id, data) of a fragment payload, the only one of its datagram."""
    if len(content) <= _HEADER:  # an empty fragment would complete nothing, ever
        raise Drop("bad-fragment")
    following, reserved, length, fragment_id, number, flags = struct.unpack(
        "!BBHHBB", content[:_HEADER]
    )
    if following or reserved or length != len(content):
        raise Drop("bad-fragment")
    if not 1 <= number <= _MAX_FRAGMENTS or flags not in (0, _LAST):
        raise Drop("bad-fragment")
    return number, flags == _LAST, fragment_id, bytes(content[_HEADER:])


def split(message, limit=wire.MAX_DATAGRAM):
    """The datagrams, of at most `limit` bytes each, that carry `message` in fragments."""
    cky_i, cky_r = message[:8], message[8:16]
    exchange, msgid = message[18], struct.unpack("!I", message[20:24])[0]
    room = limit - wire.HEADER - _HEADER
    count = (len(message) + room - 1) // room
    for number in range(1, count + 1):
        data = message[(number - 1) * room : number * room]
        flags = _LAST if number == count else 0
        payload = struct.pack("!BBHHBB", 0, 0, _HEADER + len(data), _ID, number, flags) + data
        yield wire.message(cky_i, cky_r, R.FRAGMENT, exchange, False, msgid, payload)
