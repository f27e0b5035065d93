"""Two agents that keep a tunnel up over simulated time: a wire that fails, ends that restart."""

from agent.upkeep import Upkeep
from attacker import Dice, other
from cheap import CheapHal
from ike import policy
from pair import INITIATOR, RESPONDER, Clock, make_engine

_LATENCY_MS = 30


class World:
    """`up_ms`: how long both sides had an SA in common. `log`: (time, side, event).

    `responders`: values of the other side's only.
    """

    def __init__(self, seed, roles=("initiator", "responder"), loss=0, responders=None, **values):
        self.dice = Dice(seed)
        self.clock = Clock()
        self.loss = loss
        self.cut = False
        self.up_ms = 0
        self.log = []
        self.most_sas = 0
        self._roles = {"i": roles[0], "r": roles[1]}
        self._values = {"i": values, "r": dict(values, **(responders or {}))}
        self._boots = self._moves = 0
        self.addresses = {"i": INITIATOR, "r": RESPONDER}
        self._transit = []
        self.engines = {}
        self._upkeep = {}
        for side in "ir":
            self.boot(side)

    def boot(self, side):
        """An end begins anew, and knows nothing."""
        self._boots += 1
        local, remote = self.addresses[side], self.addresses[other(side)]
        role = self._roles[side]
        crypto = CheapHal(b"%s %d" % (side.encode(), self._boots))
        engine = make_engine(local, remote, role, self.clock, crypto, **self._values[side])
        self.engines[side] = engine
        self._upkeep[side] = Upkeep(engine, lambda name: self._resolve(side))
        if role != "responder":
            self.keep(side, self.clock.now)

    def keep(self, side, since):
        """From then on an end sees to its tunnel."""
        self._upkeep[side].want("gw", since)

    def move(self, side):
        """DHCP gives an end another address, and its name follows; see agent/netwatch.py."""
        self._moves += 1
        self.addresses[side] = (f"10.{100 + self._moves // 250}.0.{self._moves % 250 + 1}", 500)
        engine = self.engines[side]
        engine.local = self.addresses[side]
        for sa in list(engine.sas):
            if sa in engine.sas:
                engine.deleted(sa, "address-change")
        engine.contacted.clear()
        engine.peers[0].local_id = policy.identity(engine.local[0])

    def _resolve(self, side):
        """Ask for the peer's address, as agent/names.py does before an attempt."""
        peer = self.engines[side].peers[0]
        peer.address = self.addresses[other(side)][0]
        peer.remote_id = policy.identity(peer.address)
        return True

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
        for _, to, path, datagram in due:
            if path[:2] == self.addresses[to]:  # else nobody is there any more
                self.engines[to].receive(datagram, path, now)
        for side, engine in self.engines.items():
            while engine.poll(now):
                pass
            if engine.find("gw") is None:
                self._resolve(side)  # what a responder does every minute
            self._upkeep[side].run(now)
            for path, datagram in engine.take_datagrams():
                if not self.cut and self.dice.below(100) >= self.loss:
                    arrived = (now + _LATENCY_MS, other(side), path[2:] + path[:2], datagram)
                    self._transit.append(arrived)
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
