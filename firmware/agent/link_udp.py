"""Datagrams over the board's own UDP socket.

One empty datagram disables a UDP socket on the ESP32 port: every later read returns nothing at
once, and what is queued stays unread, until the socket is bound again. So an empty read binds it
again, and is counted.
"""

import gc
import socket
import struct

from micropython import const

_SIZE = const(2049)  # one more than the longest message, so that a longer one is seen as such
_SHORT = const(1025)  # the same for where the heap is in pieces
_EAGAIN = const(11)
_ENOMEM = const(12)
_ENOBUFS = const(105)
_MAX_UNSENT = const(4)


class Link:
    """A UDP socket at (address, port); OSError where it cannot be had."""

    def __init__(self, address, port):
        self.local = (address, port)
        self.empty_datagrams = 0
        self.send_failures = 0
        self._unsent = []
        self._addresses = {}
        self._keep()
        self.socket = self._open()
        self.socket.setblocking(False)
        self.sockets = [self.socket]
        self._bind()

    def _open(self):
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _bind(self):
        self.socket.bind(socket.getaddrinfo(*self.local)[0][-1])

    def _bind_again(self):
        try:
            self._bind()
        except OSError:
            pass  # a stack that keeps a bound socket as it is has no need of it

    def receive(self):
        """(datagram, path) or None where none is waiting."""
        try:
            try:
                datagram, sender = self.socket.recvfrom(_SIZE)
            except MemoryError:
                datagram, sender = self._receive_short()
        except OSError as error:
            if error.errno == _EAGAIN:
                return None
            raise
        if not datagram:
            self.empty_datagrams += 1
            self._bind_again()
            return None
        return datagram, self.local + self.decode(sender)

    def _receive_short(self):
        """The heap is in pieces: one is kept for this, enough for any message of an exchange with
        pre-shared keys. Of a longer one the rest is lost."""
        self._kept = None
        gc.collect()
        try:
            datagram, sender = self.socket.recvfrom(_SHORT)
            datagram = bytearray(datagram)  # elsewhere: what it came in is free again
            return datagram, sender
        finally:
            gc.collect()
            self._keep()

    def _keep(self):
        try:
            self._kept = bytearray(_SHORT)
        except MemoryError:
            pass  # another time

    def send(self, path, datagram):
        """Send, or keep for later where the stack has no room just now."""
        self._unsent.append((path, datagram))
        if len(self._unsent) > _MAX_UNSENT:
            self._unsent.pop(0)
            self.send_failures += 1
        self.flush()

    def flush(self):
        """Try again to send what waits."""
        while self._unsent:
            path, datagram = self._unsent[0]
            try:
                self.socket.sendto(datagram, self._address(path))
            except OSError as error:
                if error.errno in (_EAGAIN, _ENOMEM, _ENOBUFS):
                    return
                self.send_failures += 1  # unreachable for now: retransmission will see to it
            self._unsent.pop(0)

    def _address(self, path):
        remote = path[2:]
        found = self._addresses.get(remote)
        if found is None:
            if len(self._addresses) > 16:
                self._addresses.clear()
            found = self._addresses[remote] = socket.getaddrinfo(*remote)[0][-1]
        return found

    def close(self):
        self.socket.close()

    def decode(self, sender):
        """(address, port) of what recvfrom says: a tuple on the boards, a sockaddr_in on unix."""
        if isinstance(sender, tuple):
            return sender[:2]
        octets = sender[4:8]
        text = ".".join([str(octet) for octet in octets])
        return text, struct.unpack(">H", sender[2:4])[0]
