"""One input of the fuzzers: choices, played as a game against an initiator and a responder.

The player reads every datagram, and he knows the keys too: so he gets past decryption and HASH
where he likes to, and what stands behind them is reached. Nothing that he does may raise, grow
without bounds, or establish an SA between the two with different keys.
"""

import struct

from attacker import Attacker, Dice, other
from cheap import CheapHal
from ike import keys, wire
from ike import registry as R
from ike.sa import SECRETS
from pair import SUITE, Pair

MOVES = 24  # at most in one input
_STATES = tuple(SECRETS)
_PAYLOADS = (R.SA, R.KE, R.ID, R.CERT, R.HASH, R.SIG, R.NONCE, R.N, R.D, R.VID, 20, 130, 132, 99)
_NUMBERS = (0, 1, 4, 14, 16, 18, 24, 8192, 16383, 24576, 24578, 36136, 36137, 40000, 65535)


class Choices(Dice):
    """Choices read from bytes, each from as few as it takes; zeros where they are used up."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    def left(self):
        return self._at < len(self._data)

    def below(self, n):
        value = 0
        most = n - 1
        while most > 0:
            value = value << 8 | (self._data[self._at] if self.left() else 0)
            self._at += 1
            most >>= 8
        return value % n

    def bytes(self, n):
        """A few bytes of the input, repeated."""
        few = bytes([self.below(256) for _ in range(min(n, 4))])
        return (few * (n // 4 + 1))[:n]


def play(data):
    """Play one input. Returns the Game, for whoever counts."""
    game = Game(Choices(data))
    for _ in range(MOVES):
        game.move()
        if not game.dice.left():
            break
    game.finish()
    return game


class Game:
    def __init__(self, dice):
        self.dice = dice
        self.pair = Pair({"crypto": CheapHal(b"i")}, {"crypto": CheapHal(b"r")})
        for engine in (self.pair.i, self.pair.r):
            engine.peers[0].capable = ("fragmentation",)
        self.attacker = Attacker(self.dice, SUITE)
        self.given = 0  # datagrams
        self.established = 0
        self.pair.i.initiate("gw", 0)
        self._collect()
        # Begin anywhere: so many honest messages first.
        for _ in range(self.dice.below(8)):
            self._deliver()

    def move(self):
        name = self.dice.choice(
            ("deliver", "deliver", "packet", "packet", "forge", "forge", "informational", "time")
            + ("flood", "wish", "swallow", "fragment")
        )
        getattr(self, "_" + name)()
        self._collect()
        self.check()

    def check(self):
        pair = self.pair
        for engine in (pair.i, pair.r):
            assert len(engine.sas) < 200, len(engine.sas)
            assert len(engine.firsts) <= 16
            for sa in engine.sas:
                assert sa.state in _STATES
                assert sa.state != "DEAD"
                assert sa.state != "ESTABLISHED" or sa.skeyid_a is not None
            engine.deadline()

    def finish(self):
        """Whatever happened, the timers end it."""
        pair = self.pair
        for engine in (pair.i, pair.r):
            for _ in range(200):
                if not [sa for sa in engine.sas if sa.state != "ESTABLISHED"]:
                    break
                pair.clock.now += 10000
                while engine.poll(pair.clock.now):
                    pass
            assert all(sa.state == "ESTABLISHED" for sa in engine.sas), "for ever half open"
        for ours in pair.i.sas:
            for theirs in pair.r.sas:
                if ours.cky_r == theirs.cky_r:
                    assert ours.ka == theirs.ka

    # --- moves ----------------------------------------------------------------------------------

    def _collect(self):
        pair = self.pair
        for engine in (pair.i, pair.r):
            while engine.poll(pair.clock.now):
                pass
        for side in "ir":
            for datagram in pair.collect(side):
                self.attacker.saw(side, datagram)
            self.established += len([e for e in pair.events[side] if e["event"] == "established"])
            pair.events[side].clear()

    def _give(self, side, datagram):
        self.given += 1
        self.pair.give(side, bytes(datagram))

    def _deliver(self):
        if self.pair.pending:
            sender, datagram = self.pair.pending.pop(0)
            self._give(other(sender), datagram)
            self._collect()

    def _swallow(self):
        if self.pair.pending:
            self.pair.pending.pop(self.dice.below(len(self.pair.pending)))

    def _packet(self):
        self._give(*self.attacker.packet())

    def _flood(self):
        to, message = self.attacker.kind_another_1()
        message = bytearray(message)
        for _ in range(self.dice.choice((1, 2, 3, 4, 5, 20))):  # 20: more than there is room for
            self._give(to, message)
            message[7] = message[7] + 1 & 255  # in the initiator's cookie

    def _time(self):
        self.pair.clock.now += self.dice.choice((1, 100, 1000, 10000, 30000, 60000, 28800000))

    def _wish(self):
        engine = self.dice.choice((self.pair.i, self.pair.r))
        if self.dice.below(2):
            engine.terminate("gw")
        else:
            self.pair.i.initiate("gw", self.pair.clock.now)

    def _fragment(self):
        to, message = self.attacker._message()
        size = 1 + self.dice.below(255)
        start = self.dice.below(len(message))
        part = message[start : start + size]
        body = struct.pack("!HBB", self.dice.below(3), self.dice.below(4), self.dice.below(2))
        cky_i, cky_r = self.attacker._cookies()
        chain = wire.chain([(132, body + bytes(part))])
        self._give(to, wire.message(cky_i, cky_r, 132, R.ID_PROT, False, 0, chain))

    # --- with the keys --------------------------------------------------------------------------

    def _body(self, sa):
        """The body of some payload: right, nearly right, or anything."""
        dice = self.dice
        kind = dice.below(8)
        if kind == 0:
            return sa.peer.remote_id
        if kind == 1:
            return dice.bytes(dice.below(64))
        spi = dice.choice((b"", sa.cky_i + sa.cky_r, sa.cky_r + sa.cky_i, dice.bytes(16)))
        if kind < 5:
            number = dice.choice(_NUMBERS)
            size = dice.choice((len(spi), len(spi), 255))
            return (
                struct.pack("!IBBH", 1, dice.below(4), size, number)
                + spi
                + dice.bytes(dice.below(8))
            )
        count = dice.choice((0, 1, 1, 1, 2, 65535))
        body = struct.pack("!IBBH", dice.below(2), 1, len(spi), count) + spi * min(count, 3)
        return body

    def _bodies(self, sa):
        dice = self.dice
        return [(dice.choice(_PAYLOADS), self._body(sa)) for _ in range(dice.below(4))]

    def _keyed(self):
        found = [sa for e in (self.pair.i, self.pair.r) for sa in e.sas if sa.ka is not None]
        return self.dice.choice(found) if found else None

    def _side_of(self, sa):
        return "i" if sa.initiator else "r"

    def _forge(self):
        """Message 5 or 6 under the right keys: HASH right or not, whatever beside it."""
        sa = self._keyed()
        if sa is None or sa.skeyid is None or sa.g_xr is None:
            return
        dice = self.dice
        bodies = self._bodies(sa)
        if dice.below(4):
            body = sa.peer.remote_id if dice.below(4) else self._body(sa)
            function = keys.hash_r if sa.initiator else keys.hash_i
            digest = function(
                self.pair.i.hal,
                sa.suite.hash,
                sa.skeyid,
                sa.g_xi,
                sa.g_xr,
                sa.cky_i,
                sa.cky_r,
                sa.sai_b,
                body,
            )
            if not dice.below(3):
                digest[dice.below(len(digest))] ^= 1 << dice.below(8)
            bodies = [(R.ID, body), (R.HASH, digest)] + bodies
        self._encrypted(sa, R.ID_PROT, 0, sa.iv, bodies)

    def _informational(self):
        sa = self._keyed()
        if sa is None or sa.iv is None:
            return
        dice = self.dice
        msgid = dice.choice((1, 7, 0xFFFFFFFF, 0))
        bodies = self._bodies(sa)
        if dice.below(4):
            hal = self.pair.i.hal
            digest = keys.informational_hash(
                hal, sa.suite, sa.skeyid_a, msgid, bytes(wire.chain(bodies))
            )
            if not dice.below(4):
                digest[0] ^= 1
            bodies = [(R.HASH, digest)] + bodies
        iv = keys.exchange_iv(self.pair.i.hal, sa.suite, sa.iv, msgid)
        self._encrypted(sa, R.INFORMATIONAL, msgid, iv, bodies)

    def _encrypted(self, sa, exchange, msgid, iv, bodies):
        if not bodies:
            return
        dice = self.dice
        plain = wire.chain(bodies, 16)
        if not dice.below(4):
            plain[dice.below(len(plain))] ^= 1 << dice.below(8)
        content, _ = keys.crypt(self.pair.i.hal, sa.suite, sa.ka, iv, plain, True)
        first = bodies[0][0] if dice.below(8) else dice.choice(_PAYLOADS)
        message = wire.message(sa.cky_i, sa.cky_r, first, exchange, True, msgid, content)
        self._give(self._side_of(sa), message)
