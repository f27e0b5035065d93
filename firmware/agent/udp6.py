"""Datagrams over IPv6, where the board's sockets have it: MicroPython's unix port does, the stock
ESP32 port does not (its getaddrinfo looks for IPv4 addresses only).
"""

import socket
import struct

from agent import inet6, link_udp


def available():
    """Whether this MicroPython's sockets take IPv6 addresses."""
    try:
        return socket.getaddrinfo("::1", 500)[0][0] == socket.AF_INET6
    except (OSError, AttributeError):
        return False


class Link(link_udp.Link):
    """As link_udp.Link, at an IPv6 address."""

    def _open(self):
        return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def decode(self, sender):
        """(address, port) of what recvfrom says: a tuple, or a sockaddr_in6 on unix."""
        if isinstance(sender, tuple):
            return inet6.canonical(sender[0]), sender[1]
        return inet6.text(sender[8:24]), struct.unpack(">H", sender[2:4])[0]
