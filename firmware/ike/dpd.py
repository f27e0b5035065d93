"""Dead peer detection (RFC 3706), idle-based: ask only when nothing was heard for a while.

Both directions: we ask where the peer announced that he answers, and answer whoever asks under
the SA's protection. A question has a sequence number, so that one that came before is no sign of
life. Nothing but its number tells the peer's question from one of ours that somebody sends back:
both sides have the same keys. Loaded with the first question.
"""

import struct

from micropython import const

from ike import informational
from ike.wire import Drop

R_U_THERE, R_U_THERE_ACK = 36136, 36137
TRIES = const(5)
_RETRY_MS = const(5000)
MAX_ASKED = const(8)  # answers to one sequence number: a question may come again, and be replayed


def of(sa):
    """The Dpd of an SA, made when first needed."""
    if sa.dpd is None:
        sa.dpd = Dpd(sa)
    return sa.dpd


def dead(sa, reason):
    """The peer of an SA does not answer any more: a failure, unless he does on another SA."""
    engine, name = sa.engine, sa.peer.name
    engine.deleted(sa, "dead-peer")
    if not engine.is_up(name):
        engine.last_failure[name] = ("dead-peer", reason, engine.clock())


class Dpd:
    """What an SA asks its peer, and was asked. When to ask next is Sa.dpd_due."""

    tries = 0  # since something was heard

    def __init__(self, sa):
        self._sa = sa
        # Random start, high bit 0 (section 6.2).
        self._sequence = struct.unpack("!I", sa.engine.hal.random(4))[0] & 0x7FFFFFFF
        self._first = self._open = self._sequence + 1
        self._theirs = None
        self._asked = 0  # how often

    def ask(self, now):
        """Nothing was heard for too long."""
        sa = self._sa
        if self.tries == TRIES:
            dead(sa, "no answer to %d R-U-THERE" % TRIES)
            return
        if self.tries == 0:
            self._open = self._sequence + 1
        # Each with a number of its own: some take a question that comes again for a replay.
        self._send(R_U_THERE, self._sequence + 1)
        self._sequence += 1
        self.tries += 1
        sa.dpd_due = now + _RETRY_MS

    def notified(self, number, body):
        """R-U-THERE or its ACK, authenticated: whether it is new. Drop where it is not about this
        SA, or old, or our own."""
        sa = self._sa
        if body[5] != 16 or bytes(body[8:24]) != sa.cky_i + sa.cky_r or len(body) != 28:
            raise Drop("bad-dpd")
        sequence = struct.unpack("!I", body[24:28])[0]
        if number == R_U_THERE_ACK:
            if not self._open <= sequence <= self._sequence:
                raise Drop("unexpected-dpd-ack")
            self._open = sequence + 1
            sa.follow()
            return True
        if self._first <= sequence <= self._sequence:
            raise Drop("reflected-dpd")
        new = sequence != self._theirs
        if new:
            if self._theirs is not None and not 0 < sequence - self._theirs < 0x10000:
                raise Drop("old-dpd")
            self._theirs = sequence
            self._asked = 0
            sa.follow()
        self._asked += 1
        if self._asked > MAX_ASKED:
            raise Drop("old-dpd")
        self._send(R_U_THERE_ACK, sequence)
        return new

    def _send(self, number, sequence):
        informational.notify(self._sa.engine, self._sa, number, struct.pack("!I", sequence))
