"""Peers whose address is a DNS name. Loaded where the configuration has one.

Stock MicroPython's getaddrinfo blocks, for seconds where no server answers (docs/uptime.md). So a
name is asked for only when no exchange is under way and no timer is near, unless that has been so
for half a minute; anew before each attempt to initiate, and from time to time for a responder that
is down. Where it cannot be resolved, the address that was found before is still the peer's, and is
called. A question that nobody answered is the last for a while, whatever it was about, so that the
agent has most of the time for its peers; and every name has its turn.
"""

import socket

from micropython import const

from ike import policy

_NEAR_MS = const(3000)  # a timer that is due so soon comes first
_PATIENCE_MS = const(30000)
_AGAIN_MS = const(60000)  # for a responder
_SLOW_MS = const(2000)  # a failure that took so long: the server does not answer
_SILENT_MS = const(30000)  # how long it is then left alone


class Names:
    """`names`: {peer's name: DNS name}; `own`: the peers that are identified by their address."""

    def __init__(self, agent, names, own):
        self._agent = agent
        self._names = names
        self._own = own
        self._asked = {}  # peer's name: since when an answer is wanted
        self._due = {}  # responder's name: when to ask
        self._silent = 0  # until when nobody is asked ...
        self._later = {}  # ... nor about a peer's name, which was just waited for
        for peer in agent.engine.peers:
            if peer.name in names:
                peer.address = None
                if peer.role == "responder":
                    self._due[peer.name] = agent.clock()

    def run(self, now):
        """Ask for the address of responders that are down."""
        for name, due in self._due.items():
            if now >= due:
                answer = True if self._agent.engine.find(name) else self.ready(name)
                self._due[name] = now + (1000 if answer is False else _AGAIN_MS)

    def deadline(self):
        """The time of the next question in ms, or None."""
        return min(self._due.values()) if self._due else None

    def ready(self, name, patient=True):
        """Before an attempt: True, the peer's address is known, and fresh; False, not a good time
        to ask; None, it cannot be resolved, which is told as a failure. Not `patient`: now."""
        if name not in self._names:
            return True
        engine = self._agent.engine
        is_known = any(peer.name == name and peer.address for peer in engine.peers)
        now = self._agent.clock()  # the question about another name may have taken long
        if patient and now < max(self._silent, self._later.get(name, 0)):
            self._asked.pop(name, None)
            return is_known
        since = self._asked.setdefault(name, now)
        if patient and now - since < _PATIENCE_MS and self._busy(now):
            return False
        del self._asked[name]
        try:
            address = self._resolved(name)
        except OSError as error:
            why = "%s cannot be resolved: %s" % (self._names[name], error)
            self._failed(name, now)
            if is_known:
                engine.event("unresolved", peer=name, reason=why)
                return True
            engine.unreached(name, "no-address", why)
            return None
        self._silent = 0
        self._later.clear()
        return self._take(name, address)

    def _failed(self, name, since):
        now = self._agent.clock()
        took = now - since
        if took >= _SLOW_MS:
            self._silent = now + _SILENT_MS
            self._later[name] = now + (_SILENT_MS + took) * len(self._names)

    def _busy(self, now):
        engine = self._agent.engine
        due = engine.deadline()
        if due is not None and due - now < _NEAR_MS:
            return True
        return any(sa.state != "ESTABLISHED" for sa in engine.sas)

    def _resolved(self, name):
        """The first address of the family that we use."""
        link = self._agent.link
        found = socket.getaddrinfo(self._names[name], link.local[1])
        family = socket.AF_INET6 if ":" in link.local[0] else socket.AF_INET
        for entry in found:
            if entry[0] == family:
                return link.decode(entry[-1])[0]
        raise OSError("no address of the family of network.bind")

    def _take(self, name, address):
        engine = self._agent.engine
        for peer in engine.peers:
            if peer.name == name:
                ours = peer
            elif peer.address == address:
                why = "%s has the address of peer.%s" % (self._names[name], peer.name)
                engine.unreached(name, "no-address", why)
                return None
        if address != ours.address:
            ours.address = address
            if name in self._own:
                ours.remote_id = policy.identity(address)
            engine.event("resolved", peer=name, address=address)
        return True
