"""A real UDP endpoint for a board that has no network: datagrams travel through its console.

A datagram for the board is a request that the board answers once it has taken it; the next one
waits until then, in the socket's own buffer. "busy" and a lost line are both tried again. What is
given up all the same is counted. A repeated datagram does no harm: IKE recognises duplicates.

A UART without flow control loses what the board does not read in time: such a board gets a
datagram in pieces, each answered before the next.
"""

import base64
import binascii
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ikelet.console import ConsoleError, ConsoleTimeoutError
from ikelet.errors import MisuseError
from ikelet.links import LinkError

_LONGEST = 2048  # the agent takes no longer message; such a line may be too much for its memory
_PIECE = 84  # bytes: with an IPv6 path and all, a line of less than 250 characters
_PATIENCE = 3  # times the answer's deadline, before a datagram is given up


class RelayError(MisuseError):
    """The host cannot lend the board this address and port."""


class Relay:
    """The host's side of the relay. `call(method, params, timeout)` reaches the board.

    `address` and `port` are the board's own as the peer sees them; `deadline` is how long, in
    seconds, the board may take to answer, `narrow` whether its serial line loses what it does not
    read in time. Counters: `to_board`, `from_board`, `repeated`, `lost`.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        address: str,
        port: int,
        deadline: float = 5.0,
        narrow: bool = False,
    ) -> None:
        self.to_board = self.from_board = self.repeated = self.lost = 0
        self._call = call
        self._deadline = deadline
        self._piece = _PIECE if narrow else _LONGEST
        self._socket = _bound(address, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def send(self, params: dict[str, Any]) -> None:
        """The board's notification `udp`: send its datagram on."""
        try:
            datagram = base64.b64decode(params["data"], validate=True)
            _, _, address, port = params["path"]
            self._socket.sendto(datagram, (address, port))
        except (KeyError, TypeError, ValueError, binascii.Error, OSError):
            self.lost += 1
        else:
            self.from_board += 1

    def close(self) -> None:
        """End the thread and free the port. May be called more than once."""
        self._closed.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=self._deadline * _PATIENCE)
        self._socket.close()

    def _run(self) -> None:
        self._socket.settimeout(0.1)
        while not self._closed.is_set():
            try:
                datagram, sender = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            except OSError:  # an ICMP error about something sent before: the peer is not there
                continue
            if len(datagram) > _LONGEST:
                self.lost += 1
                continue
            path = [*self.address, *sender[:2]]
            try:
                taken = self._hand_over(list(self._requests(path, datagram)))
            except LinkError:
                return  # the console tells whoever waits for the board
            if taken:
                self.to_board += 1
            else:
                self.lost += 1

    def _requests(self, path: list[Any], datagram: bytes) -> Iterator[dict[str, Any]]:
        """What to ask of the board for one datagram."""
        for at in range(0, max(1, len(datagram)), self._piece):
            piece = datagram[at : at + self._piece]
            request = {"data": base64.b64encode(piece).decode(), "size": len(piece)}
            if len(datagram) > self._piece:
                request["at"] = at
            last = at + self._piece >= len(datagram)
            yield request | ({"path": path} if last else {"more": True})

    def _hand_over(self, requests: list[dict[str, Any]]) -> bool:
        give_up = time.monotonic() + self._deadline * _PATIENCE
        while not self._closed.is_set() and time.monotonic() < give_up:
            try:
                for params in requests:
                    self._call("udp", params, self._deadline)
                return True
            except ConsoleTimeoutError:
                self.repeated += 1
            except ConsoleError:  # busy, or a piece was damaged
                self.repeated += 1
                self._closed.wait(0.05)
        return False


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.socket(family, socket.SOCK_DGRAM)
    try:
        found.bind((address, port))
    except OSError as error:
        found.close()
        why = {
            errno.EADDRINUSE: f"UDP port {port} on {address} is in use",
            errno.EADDRNOTAVAIL: f"network.bind: {address} is no address of this host",
            errno.EACCES: f"no permission to use UDP port {port}; take one above 1023",
        }.get(error.errno or 0, f"cannot use UDP port {port} on {address}: {error.strerror}")
        raise RelayError(why) from error
    return found
