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

    def run(self, now):
        if now < self._due:
            return
        self._due = now + _EVERY_MS
        interface = self._agent.interface
        address = interface.ifconfig()[0] if interface.isconnected() else "0.0.0.0"
        if address == "0.0.0.0":
            if self._up:
                self._up = False
                self._agent.event({"event": "link", "up": False})
            return
        moved = not self._fixed and address != self._agent.engine.local[0]
        if self._up and not moved:
            return
        if moved and not self._move(address):
            return  # tried again
        self._up = True
        self._agent.event({"event": "link", "up": True, "address": address})
        if self._agent.upkeep:
            self._agent.upkeep.soon(now)

    def deadline(self):
        return self._due

    def _move(self, address):
        """Go on from another address: the SAs were tied to the old one."""
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
        agent.port.forget(agent.link.sockets)
        agent.link.close()
        agent.link = link
        engine = agent.engine
        engine.local = agent.link.local
        for sa in list(engine.sas):
            if sa in engine.sas:  # the end of one may be that of others
                engine.deleted(sa, "address-change")
        engine.contacted.clear()
        for peer in engine.peers:
            if peer.auth == "psk" and "local_id" not in agent.config["peer"][peer.name]:
                peer.local_id = policy.identity(address)
        return True
