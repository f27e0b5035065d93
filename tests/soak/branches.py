"""Branches after an outage of their head office: when they come back.

Each is the agent's own engine and upkeep, with its own random numbers, and a clock that all have
in common. They lost their SA at one time; for so long nothing that they send arrives. `Fixed` is
what they are compared with: an attempt every four seconds, which all branches begin together.
"""

from collections import Counter

from agent.upkeep import Upkeep
from cheap import CheapHal
from ike.engine import Engine
from ike.policy import Peer

GATEWAY = "10.9.0.1"
PSK = b"7Zq4-mXw9-Rt2k-Ly8c-Vb5n"
SUITE = "aes128-sha256-modp2048"
FIXED_MS = 4000


class Clock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


class Fixed:
    """Begins anew every four seconds, until there is an answer."""

    def __init__(self, engine):
        self._engine = engine
        self._due = 0

    def want(self, name, now):
        self._name = name
        self._due = now

    def run(self, now):
        sa = self._engine.find(self._name)
        if now >= self._due and (sa is None or sa.state == "MAIN_I1"):
            self._engine.terminate(self._name)
            self._engine.initiate(self._name, now)
            self._due = now + FIXED_MS

    def deadline(self):
        return self._due


class Branch:
    """One of them, at `address`. `turn` is one turn of the agent's loop, without a network."""

    def __init__(self, address, hal, clock, fixed):
        self.address = address
        self.clock = clock
        peer = Peer("gw", GATEWAY, PSK, address, GATEWAY, [SUITE], retransmit="fast")
        self.engine = Engine(hal, [peer], (address, 500), clock)
        self.upkeep = (Fixed if fixed else Upkeep)(self.engine)
        self.upkeep.want("gw", clock())

    def turn(self):
        """What it sends now."""
        now = self.clock()
        self.engine.poll(now)
        self.upkeep.run(now)
        self.engine.take_events()
        return [datagram for _, datagram in self.engine.take_datagrams()]

    def due(self):
        times = [self.engine.deadline(), self.upkeep.deadline()]
        return min([at for at in times if at is not None] or [self.clock() + 1000])

    def is_up(self):
        sa = self.engine.find("gw")
        return bool(sa) and sa.state == "ESTABLISHED"


def address(number):
    return f"10.64.{number // 250}.{number % 250 + 1}"


def lost(count, fixed, outage_ms, hal_of=lambda n: CheapHal(b"%d" % n)):
    """So many branches as they are when the outage ends, and their clock."""
    clock = Clock()
    branches = [Branch(address(n), hal_of(n), clock, fixed) for n in range(count)]
    for branch in branches:
        clock.now = 0
        branch.turn()
        while branch.due() < outage_ms:
            clock.now = max(branch.due(), clock.now + 1)
            branch.turn()
    clock.now = outage_ms
    return branches, clock


def arrivals(count, fixed, outage_ms):
    """Milliseconds after the outage at which each branch's first message arrives."""
    branches, clock = lost(count, fixed, outage_ms)
    found = []
    for branch in branches:
        clock.now = outage_ms
        while not branch.turn():
            clock.now = max(branch.due(), clock.now + 1)
        found.append(clock.now - outage_ms)
    return found


def most(times_ms):
    """The most that come in one second."""
    return max(Counter(time // 1000 for time in times_ms).values())


def curve(times_ms, steps=(1, 2, 4, 8, 15, 30, 60, 120, 180, 240, 300)):
    """[(until second, how many came by then, most in one second since the step before)]."""
    seconds = Counter(time // 1000 for time in times_ms)
    rows, before = [], 0
    for step in steps:
        most = max(seconds[second] for second in range(before, step))
        rows.append((step, sum(seconds[second] for second in range(step)), most))
        before = step
    return rows
