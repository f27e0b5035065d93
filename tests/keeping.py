"""Two agents that keep a tunnel up over simulated time: a wire that fails, ends that restart."""

from agent.upkeep import Upkeep
from attacker import Dice, other
from cheap import CheapHal
from pair import INITIATOR, RESPONDER, Clock, make_engine

_LATENCY_MS = 30
SIDES = {"i": (INITIATOR, RESPONDER), "r": (RESPONDER, INITIATOR)}


class World:
    """`up_ms`: how long both sides had an SA in common. `log`: (time, side, event)."""

    def __init__(self, seed, roles=("initiator", "responder"), loss=0, **values):
        self.dice = Dice(seed)
        self.clock = Clock()
        self.loss = loss
        self.cut = False
        self.up_ms = 0
        self.log = []
        self.most_sas = 0
        self._roles = {"i": roles[0], "r": roles[1]}
        self._values = values
        self._boots = 0
        self._transit = []
        self.engines = {}
        self._upkeep = {}
        for side in "ir":
            self.boot(side)

    def boot(self, side):
        """An end begins anew, and knows nothing."""
        self._boots += 1
        local, remote = SIDES[side]
        role = self._roles[side]
        crypto = CheapHal(b"%s %d" % (side.encode(), self._boots))
        engine = make_engine(local, remote, role, self.clock, crypto, **self._values)
        self.engines[side] = engine
        self._upkeep[side] = Upkeep(engine)
        if role != "responder":
            self._upkeep[side].want("gw", self.clock.now)

    def common(self):
        """The SAs that both sides have."""
        keys = [
            [bytes(sa.ka) for sa in engine.sas if sa.state == "ESTABLISHED"]
            for engine in self.engines.values()
        ]
        return [ka for ka in keys[0] if ka in keys[1]]

    def run(self, until):
        """Let time pass, from one thing to do to the next."""
        while self.clock.now < until:
            self._work()
            following = min(until, max(self._next(), self.clock.now + 1))
            if self.common():
                self.up_ms += following - self.clock.now
            self.clock.now = following

    def _work(self):
        now = self.clock.now
        due = [entry for entry in self._transit if entry[0] <= now]
        self._transit = [entry for entry in self._transit if entry[0] > now]
        for _, sender, datagram in due:
            to = other(sender)
            self.engines[to].receive(datagram, SIDES[to][0] + SIDES[to][1], now)
        for side, engine in self.engines.items():
            while engine.poll(now):
                pass
            self._upkeep[side].run(now)
            for _, datagram in engine.take_datagrams():
                if not self.cut and self.dice.below(100) >= self.loss:
                    self._transit.append((now + _LATENCY_MS, side, datagram))
            for event in engine.take_events():
                if event["event"] in ("established", "failed", "deleted"):
                    self.log.append((now, side, event))
            self.most_sas = max(self.most_sas, len(engine.sas))

    def _next(self):
        times = [entry[0] for entry in self._transit]
        for side, engine in self.engines.items():
            times += [engine.deadline(), self._upkeep[side].deadline()]
        times = [due for due in times if due is not None]
        return min(times) if times else self.clock.now + 3600000

    def count(self, side, name, **values):
        return len(
            [
                event
                for _, where, event in self.log
                if where == side
                and event["event"] == name
                and all(event[key] == value for key, value in values.items())
            ]
        )
