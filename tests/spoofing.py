"""One honest exchange beside an attacker's packets; what is lost is told."""

from attacker import Attacker, Dice, other
from cheap import CheapHal
from ike import rivals
from pair import SUITE, Pair

LATENCY_MS = 20
_EXCHANGE_MS = 7 * LATENCY_MS
_GIVE_UP_MS = 25000


class Run:
    """An exchange with `packets` injected at random moments, during it and as long again after.

    `failure` says what was lost, "" where nothing was; `rivals` how many lines there were at most.
    """

    def __init__(self, seed, packets=1000, loss=0, attempts=1):
        self.dice = Dice(seed + 1)
        self.attempts = attempts
        self.loss = loss
        crypto = {"crypto": CheapHal(b"i%d" % seed)}, {"crypto": CheapHal(b"r%d" % seed)}
        self.pair = Pair(*crypto)
        self.attacker = Attacker(self.dice, SUITE)
        self._transit = []  # (arrival, from, datagram)
        self.rivals = 0
        self.established_ms = 0
        self.moments = {}
        for _ in range(packets):
            moment = self.dice.below(2 * _EXCHANGE_MS)
            self.moments[moment] = self.moments.get(moment, 0) + 1
        self.failure = self._run()

    def _run(self):
        pair = self.pair
        pair.i.initiate("gw", 0)
        while pair.clock.now < self.attempts * _GIVE_UP_MS:
            self._millisecond()
            if self.attempts > 1 and not pair.i.sas:  # what the agent does after a while
                pair.i.initiate("gw", pair.clock.now)
            quiet = pair.clock.now > 2 * _EXCHANGE_MS
            if not self.established_ms and self._common():
                self.established_ms = pair.clock.now
            if quiet and self.established_ms:
                return self._usable()
            # Once nothing is injected any more, from one thing to do to the next.
            pair.clock.now = self._next() if quiet else pair.clock.now + 1
        return f"no SA within {pair.clock.now} ms: {pair.states()!r}"

    def _millisecond(self):
        pair = self.pair
        now = pair.clock.now
        for engine in (pair.i, pair.r):
            engine.poll(now)
            self.rivals = max(self.rivals, rivals.number(engine))
        self._send()
        due = [entry for entry in self._transit if entry[0] <= now]
        for entry in due:
            self._transit.remove(entry)
            pair.give(other(entry[1]), entry[2])
        for _ in range(self.moments.get(now, 0)):
            side, datagram = self.attacker.packet()
            pair.give(side, bytes(datagram))
        self._send()

    def _send(self):
        for side in "ir":
            for datagram in self.pair.collect(side):
                self.attacker.saw(side, datagram)
                if self.dice.below(100) >= self.loss:
                    self._transit.append((self.pair.clock.now + LATENCY_MS, side, datagram))
        self.pair.pending = []

    def _next(self):
        times = [entry[0] for entry in self._transit]
        times += [e.deadline() for e in (self.pair.i, self.pair.r) if e.deadline() is not None]
        return max(self.pair.clock.now + 1, min(times)) if times else _GIVE_UP_MS

    def _common(self):
        """The SA that both sides have, by its keys."""
        for ours in self.pair.i.sas:
            for theirs in self.pair.r.sas:
                if ours.state == theirs.state == "ESTABLISHED" and ours.ka == theirs.ka:
                    return ours
        return None

    def _usable(self):
        """The SA is one and the same, IVs included: its delete is understood; nothing is left."""
        pair = self.pair
        pair.i.terminate("gw")
        pair.settle()
        if [sa for sa in pair.r.sas if sa.state == "ESTABLISHED"]:
            return "the delete was not understood"
        for _ in range(10):
            pair.clock.now += 30000
            pair.settle()
        left = [sa.state for sa in pair.i.sas + pair.r.sas]
        return f"left for ever: {left!r}" if left else ""
