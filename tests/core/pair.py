"""Two engines joined in memory: real crypto, a clock of our own, a wire that tests may disturb."""

import hal
from ike.engine import Engine
from ike.policy import Peer

INITIATOR = ("10.9.0.2", 500)
RESPONDER = ("10.9.0.1", 500)
PSK = b"correct horse battery staple 2409"
SUITE = "aes256-sha256-modp2048"


class Clock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


def make_hal():
    return hal.select({"engines": ["mbed", "software"]})


def make_engine(local, remote, role, clock, **changes):
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
    return Engine(make_hal(), [peer], local, clock, strict)


class Pair:
    """Initiator and responder; `wire` holds (sender, datagram) until `deliver` passes it on."""

    def __init__(self, initiator=None, responder=None):
        self.clock = Clock()
        self.i = make_engine(INITIATOR, RESPONDER, "initiator", self.clock, **(initiator or {}))
        self.r = make_engine(RESPONDER, INITIATOR, "responder", self.clock, **(responder or {}))
        self.log = []  # every datagram ever sent: (sender, bytes)
        self.events = {"i": [], "r": []}

    def collect(self, side):
        """What one side wants to send now, as bytes; its events are kept."""
        engine = self.i if side == "i" else self.r
        sent = [datagram for _, datagram in engine.take_datagrams()]
        self.log += [(side, datagram) for datagram in sent]
        self.events[side] += engine.take_events()
        return sent

    def give(self, side, datagram):
        """Hand a datagram to one side, as if from the other."""
        engine, local, remote = (
            (self.i, INITIATOR, RESPONDER) if side == "i" else (self.r, RESPONDER, INITIATOR)
        )
        engine.receive(datagram, local + remote, self.clock.now)

    def settle(self, messages=99):
        """Pass datagrams to and fro until none is left, at most `messages`. How many went."""
        passed = 0
        while passed < messages:
            moved = False
            for side, other in (("i", "r"), ("r", "i")):
                for datagram in self.collect(side):
                    self.give(other, datagram)
                    passed += 1
                    moved = True
            if not moved and not self.i.poll(self.clock.now) and not self.r.poll(self.clock.now):
                break
        self.collect("i")
        self.collect("r")
        return passed

    def connect(self):
        self.i.initiate("gw", self.clock.now)
        return self.settle()

    def states(self):
        """(initiator's state, responder's state) of the only SA, "" where there is none."""
        return tuple([e.sas[0].state if e.sas else "" for e in (self.i, self.r)])

    def last(self, side, name):
        """The last event of a name on one side, or None."""
        found = [event for event in self.events[side] if event["event"] == name]
        return found[-1] if found else None
