"""The board's network interface in mid-life: its link goes and comes, DHCP gives another address.

Loaded on boards with an interface of their own. MicroPython's drivers connect again by
themselves; what is left to do is to go on from the new address, and not to wait for the end of a
long back-off.
"""

from micropython import const

from ike import policy
from modules import unload

_EVERY_MS = const(1000)


class Watch:
    """`fixed`: the address is the configuration's, so that no other is believed."""

    def __init__(self, agent, fixed):
        self._agent = agent
        self._fixed = fixed
        self._up = True
        self._due = 0
        self._left = None  # the link of an address that is not ours any more, until all follows

    def run(self, now):
        if now < self._due:
            return
        self._due = now + _EVERY_MS
        if self._left is None and not self._is_news():
            return
        if self._left:
            self._follow()
        self._up = True
        agent = self._agent
        if agent.upkeep:
            agent.upkeep.soon(now)
        agent.event({"event": "link", "up": True, "address": agent.engine.local[0]})

    def _is_news(self):
        """Whether the link has come back, or been opened at another address."""
        interface = self._agent.interface
        address = interface.ifconfig()[0] if interface.isconnected() else "0.0.0.0"
        if address == "0.0.0.0":
            if self._up:
                self._up = False
                self._agent.event({"event": "link", "up": False})
            return False
        if not self._fixed and address != self._agent.engine.local[0]:
            return self._move(address)  # tried again where it cannot be done
        return not self._up

    def deadline(self):
        return self._due

    def _move(self, address):
        """Open our ports at another address. False where that cannot be done."""
        agent = self._agent
        from agent import boot

        agent.config["network"]["bind"] = address
        try:
            link = boot.open_link(agent)
        except boot.Fatal as fatal:
            agent.event({"event": "link", "up": False, "reason": fatal.args[1]})
            return False
        finally:
            unload("agent.boot")
        self._left, agent.link = agent.link, link
        agent.engine.local = link.local
        return True

    def _follow(self):
        """The SAs were tied to the address of before, and we were known by it. MemoryError: all of
        it again."""
        agent, engine = self._agent, self._agent.engine
        agent.port.forget(self._left.sockets)
        self._left.close()
        for sa in list(engine.sas):
            if sa in engine.sas:  # the end of one may be that of others
                engine.deleted(sa, "address-change")
        engine.contacted.clear()
        for peer in engine.peers:
            if peer.auth == "psk" and "local_id" not in agent.config["peer"][peer.name]:
                peer.local_id = policy.identity(engine.local[0])
        self._left = None
