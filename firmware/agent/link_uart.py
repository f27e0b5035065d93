"""Datagrams over the serial console, for a board without a network: the host relays them.

The host sends each as a request `udp` and waits for its answer; "busy" means not taken, send it
again. So nothing is lost without either side's knowing: a line that noise has hit is not answered.
"size" says how many bytes there are. A board whose UART keeps less than a line gets a datagram in
pieces: see agent.assembly.
"""

from binascii import a2b_base64, b2a_base64
from json import dumps

from micropython import const

from agent.console import Refused

_MAX_WAITING = const(6)  # as many as lwIP keeps for a socket
_MAX_DATAGRAM = const(2049)
_PIECE = const(192)  # bytes that are sent at once: a full heap has no large pieces


class Link:
    """The relay's board side. `local` is the (address, port) that the host's socket has."""

    sockets = ()

    def __init__(self, address, port, console):
        self.local = (address, port)
        self.empty_datagrams = 0
        self.send_failures = 0
        self._console = console
        self._waiting = []
        console.add("udp", self._from_host)

    def receive(self):
        """(datagram, path) or None where none is waiting."""
        return self._waiting.pop(0) if self._waiting else None

    def send(self, path, datagram):
        """Hand a datagram to the host."""
        write = self._console.write
        write(
            b'{"jsonrpc":"2.0","method":"udp","params":{"path":%s,"data":"' % dumps(path).encode()
        )
        for at in range(0, len(datagram), _PIECE):
            write(b2a_base64(datagram[at : at + _PIECE])[:-1])
        write(b'"}}\n')

    def flush(self):
        """Nothing ever waits: the serial line takes what it is given."""

    def _from_host(self, params):
        try:
            datagram = a2b_base64(params["data"])
            if len(datagram) != params.get("size", len(datagram)):
                raise Refused("not as long as it was")
            if "at" in params:
                from agent import assembly

                datagram = assembly.add(params, datagram)
                if datagram is None:
                    return {"begun": True}
            _, _, address, port = params["path"]
        except (KeyError, ValueError, TypeError):
            raise Refused("udp wants path and data")
        if not isinstance(address, str) or not isinstance(port, int):
            raise Refused("udp wants an address and a port")
        if len(self._waiting) >= _MAX_WAITING:
            raise Refused("busy")
        if datagram:
            self._waiting.append((datagram[:_MAX_DATAGRAM], self.local + (address, port)))
        else:
            self.empty_datagrams += 1
        return {"waiting": len(self._waiting)}
