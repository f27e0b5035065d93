"""Two engines joined in memory: real crypto, a clock of our own, a wire that tests may disturb.

And the small helpers that the tests of the core share.
"""

import hal
from ike.engine import Engine
from ike.policy import Peer
from ike.wire import Drop
from malformed import changed as changed

INITIATOR = ("10.9.0.2", 500)
RESPONDER = ("10.9.0.1", 500)
PSK = b"correct horse battery staple 2409"
SUITE = "aes256-sha256-modp2048"


def dropped(function, *arguments):
    """The reason for which `function` drops what it is given, None where it does not."""
    try:
        function(*arguments)
    except Drop as drop:
        return drop.args[0]
    return None


class Clock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


def make_hal():
    return hal.select({"engines": ["mbed", "software"]})


class Scripted:
    """A HAL whose random numbers are those of the run before it with the same seed, so that an
    exchange can be run twice with the same bytes."""

    def __init__(self, seed):
        self._hal = make_hal()
        self._seed = seed
        self._drawn = 0

    def __getattr__(self, name):
        return getattr(self._hal, name)

    def random(self, n):
        out = bytearray()
        while len(out) < n:
            self._drawn += 1
            out.extend(self._hal.hash("sha256", b"%s %d" % (self._seed, self._drawn)))
        return out[:n]


def make_engine(local, remote, role, clock, crypto=None, **changes):
    """An engine with one peer, "gw"; `changes` override the peer's values."""
    values = {
        "psk": PSK,
        "local_id": local[0],
        "remote_id": remote[0],
        "proposals": [SUITE],
        "retransmit": "fast",
        "role": role,
    }
    values.update(changes)
    strict = values.get("strict", True)
    peer = Peer("gw", remote[0], port=remote[1], **values)
    return Engine(crypto or make_hal(), [peer], local, clock, strict)


class Pair:
    """Initiator and responder; `pending` holds (sender, datagram) until settle delivers it."""

    def __init__(self, initiator=None, responder=None):
        self.clock = Clock()
        self.i = make_engine(INITIATOR, RESPONDER, "initiator", self.clock, **(initiator or {}))
        self.r = make_engine(RESPONDER, INITIATOR, "responder", self.clock, **(responder or {}))
        self.pending = []
        self.log = []  # every datagram ever sent: (sender, bytes)
        self.events = {"i": [], "r": []}

    def collect(self, side):
        """What one side wants to send now; it waits for delivery, the events are kept."""
        engine = self.i if side == "i" else self.r
        sent = [datagram for _, datagram in engine.take_datagrams()]
        self.log += [(side, datagram) for datagram in sent]
        self.pending += [(side, datagram) for datagram in sent]
        self.events[side] += engine.take_events()
        return sent

    def give(self, side, datagram):
        """Hand a datagram to one side, as if from the other."""
        engine, local, remote = (
            (self.i, INITIATOR, RESPONDER) if side == "i" else (self.r, RESPONDER, INITIATOR)
        )
        engine.receive(datagram, local + remote, self.clock.now)

    def settle(self, messages=99):
        """Deliver at most so many datagrams, in order, until none is left and nobody works."""
        while True:
            self.collect("i")
            self.collect("r")
            if not messages:
                return
            if self.pending:
                sender, datagram = self.pending.pop(0)
                self.give("r" if sender == "i" else "i", datagram)
                messages -= 1
            elif not self.i.poll(self.clock.now) and not self.r.poll(self.clock.now):
                return

    def connect(self):
        self.i.initiate("gw", self.clock.now)
        self.settle()

    def states(self):
        """(initiator's state, responder's state) of the only SA, "" where there is none."""
        return tuple([e.sas[0].state if e.sas else "" for e in (self.i, self.r)])

    def last(self, side, name):
        """The last event of a name on one side, or None."""
        found = [event for event in self.events[side] if event["event"] == name]
        return found[-1] if found else None
