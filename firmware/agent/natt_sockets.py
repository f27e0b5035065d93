"""Two UDP sockets for one agent: IKE's port, and the one that IKE shares with ESP behind a NAT."""


class Link:
    """As link_udp.Link; a path's local port says which socket it is about. `kind`: the class of
    either."""

    def __init__(self, kind, address, port, natt_port):
        self.local = (address, port)
        first = kind(address, port)
        try:
            second = kind(address, natt_port)
        except OSError:
            first.close()
            raise
        self._links = [first, second]
        self.sockets = first.sockets + second.sockets
        self.decode = first.decode

    @property
    def empty_datagrams(self):
        return self._links[0].empty_datagrams + self._links[1].empty_datagrams

    @property
    def send_failures(self):
        return self._links[0].send_failures + self._links[1].send_failures

    def receive(self):
        """(datagram, path) or None where none is waiting; from either socket in turn."""
        self._links.reverse()
        return self._links[0].receive() or self._links[1].receive()

    def send(self, path, datagram):
        for link in self._links:
            if link.local[1] == path[1]:
                link.send(path, datagram)

    def flush(self):
        for link in self._links:
            link.flush()

    def close(self):
        for link in self._links:
            link.close()
