"""An attacker who reads every datagram between two engines, and sends what he likes to either.

He knows the cookies and the six messages as they pass, and no key. `packet()` is one thing he
sends: clear or corrupt, well formed or not. All of it is drawn
from one seed.
"""

import struct

from ike import informational, policy, wire
from ike import registry as R


class Dice:
    """xorshift32: the same numbers under every interpreter."""

    def __init__(self, seed):
        self._state = seed * 2654435761 % (1 << 32) or 1

    def below(self, n):
        x = self._state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._state = x
        return x % n

    def choice(self, things):
        return things[self.below(len(things))]

    def bytes(self, n):
        return bytes([self.below(256) for _ in range(n)])


def other(side):
    return "r" if side == "i" else "i"


class Attacker:
    """`saw(side, datagram)` is told everything; `packet()` says (to which side, what)."""

    def __init__(self, dice, suite, group_bytes=256):
        self.dice = dice
        self.seen = []  # (sender, datagram), in order
        self._suite = policy.Suite(suite)
        self._public = group_bytes
        self.kinds = sorted(name for name in dir(self) if name.startswith("kind_"))

    def saw(self, side, datagram):
        self.seen.append((side, bytes(datagram)))

    def packet(self):
        return getattr(self, self.dice.choice(self.kinds))()

    # --- what he knows --------------------------------------------------------------------------

    def _message(self):
        """(to, a bytearray) of something that passed."""
        sender, datagram = self.dice.choice(self.seen)
        return other(sender), bytearray(datagram)

    def _cookies(self):
        """Both cookies of what passed last, or of something before it."""
        _, datagram = self.seen[-1] if self.dice.below(4) else self.dice.choice(self.seen)
        responder = datagram[8:16]
        return datagram[:8], responder if any(responder) else self.dice.bytes(8)

    def _side(self):
        return self.dice.choice("ir")

    def _clear(self, cky_i, cky_r, exchange, bodies, msgid=0):
        chain = wire.chain(bodies)
        return wire.message(cky_i, cky_r, bodies[0][0], exchange, False, msgid, chain)

    # --- well formed, and not the peer's --------------------------------------------------------

    def _offer(self):
        attrs = self._suite.attributes(R.AUTH_PSK, (3600 + self.dice.below(9999), 0))
        return wire.sa_body((wire.transform(1, attrs, False),))

    def kind_another_1(self):
        cky_i = self.seen[0][1][:8] if self.dice.below(2) else b"a" + self.dice.bytes(7)
        return "r", self._clear(cky_i, bytes(8), R.ID_PROT, [(R.SA, self._offer())])

    def kind_another_2(self):
        body = wire.sa_body((wire.transform(1, self._suite.attributes(1, (28800, 0)), False),))
        return "i", self._clear(self.seen[0][1][:8], self.dice.bytes(8), 2, [(R.SA, body)])

    def _key_exchange(self):
        public = b"\x7f" + self.dice.bytes(7) * (self._public // 7 + 1)
        bodies = [(R.KE, public[: self._public]), (R.NONCE, self.dice.bytes(32))]
        cky_i, cky_r = self._cookies()
        return self._clear(cky_i, cky_r, R.ID_PROT, bodies)

    def kind_another_3(self):
        return "r", self._key_exchange()

    def kind_another_4(self):
        return "i", self._key_exchange()

    def kind_another_5_or_6(self):
        cky_i, cky_r = self._cookies()
        content = self.dice.bytes(16 * (1 + self.dice.below(8)))
        return self._side(), wire.message(cky_i, cky_r, R.ID, R.ID_PROT, True, 0, content)

    # --- not to be believed ---------------------------------------------------------------------

    def kind_clear_notify(self):
        cky_i, cky_r = self._cookies()
        number = self.dice.choice((4, 14, 16, 18, 23, 24, 24578, 36136, 40000))
        body = informational.notify_body(number, cky_i + cky_r)
        return self._side(), self._clear(cky_i, cky_r, R.INFORMATIONAL, [(R.N, body)], 7)

    def kind_clear_delete(self):
        cky_i, cky_r = self._cookies()
        body = struct.pack("!IBBH", 1, 1, 16, 1) + cky_i + cky_r
        return self._side(), self._clear(cky_i, cky_r, R.INFORMATIONAL, [(R.D, body)], 7)

    def kind_garbage_informational(self):
        cky_i, cky_r = self._cookies()
        content = self.dice.bytes(16 * (1 + self.dice.below(8)))
        msgid = 1 + self.dice.below(1 << 31)
        return self._side(), wire.message(cky_i, cky_r, R.HASH, 5, True, msgid, content)

    # --- replayed, reflected, corrupt -----------------------------------------------------------

    def kind_replay(self):
        return self._message()

    def kind_reflection(self):
        to, message = self._message()
        return other(to), message

    def kind_bit_flip(self):
        to, message = self._message()
        message[self.dice.below(len(message))] ^= 1 << self.dice.below(8)
        return to, message

    def kind_flip_in_header(self):
        to, message = self._message()
        message[self.dice.below(28)] ^= 1 << self.dice.below(8)
        return to, message

    def kind_truncated(self):
        to, message = self._message()
        message = message[: self.dice.below(len(message))]
        if len(message) >= 28 and self.dice.below(2):
            message[24:28] = struct.pack("!I", len(message))
        return to, message

    def kind_length(self):
        to, message = self._message()
        message[24:28] = struct.pack("!I", self.dice.below(2 * len(message)))
        return to, message

    def kind_payload_header(self):
        to, message = self._message()
        message[28 + self.dice.below(4)] = self.dice.below(256)
        return to, message

    def kind_version_2(self):
        to, message = self._message()
        message[17] = 0x20
        return to, message

    def kind_no_cookie(self):
        to, message = self._message()
        at = 8 * self.dice.below(2)
        message[at : at + 8] = bytes(8)
        return to, message

    def kind_rubbish(self):
        return self._side(), self.dice.bytes(self.dice.below(100))

    def kind_keepalive(self):
        return self._side(), b"\xff"
