"""The UDP link against a socket that behaves like the ESP32 port's, and like unix's."""

from agent import link_udp

REMOTE = ("10.9.0.1", 500)


class FakeSocket:
    """A socket of the ESP32 port: after one empty datagram every read is empty at once, with a
    senseless address, until it is bound again. `refuse`: error numbers that sendto raises."""

    AF_INET = 2
    SOCK_DGRAM = 2

    def __init__(self, *_):
        self.queue = []
        self.stuck = False
        self.bound = 0
        self.sent = []
        self.refuse = []
        self.rebind_error = None

    def getaddrinfo(self, host, port):
        return [(2, 2, 0, "", (host, port))]

    def socket(self, *_):
        return self

    def setblocking(self, flag):
        assert flag is False

    def bind(self, address):
        if self.bound and self.rebind_error:
            raise OSError(self.rebind_error, "")
        self.bound += 1
        self.stuck = False

    def recvfrom(self, size):
        if self.stuck:
            return b"", ("255.255.255.255", 0)
        if not self.queue:
            raise OSError(11, "")
        datagram = self.queue.pop(0)
        if not datagram:
            self.stuck = True
        return datagram[:size], REMOTE

    def sendto(self, datagram, address):
        if self.refuse:
            raise OSError(self.refuse.pop(0), "")
        self.sent.append((bytes(datagram), address))

    def close(self):
        pass


def make_link():
    fake = FakeSocket()
    link_udp.socket = fake
    return link_udp.Link("10.9.0.2", 500), fake


def drain(link, limit=10):
    """What the link receives in a number of tries, None left out."""
    found = [link.receive() for _ in range(limit)]
    return [item for item in found if item is not None]


def test_receive_tells_the_path():
    link, fake = make_link()
    assert link.receive() is None
    fake.queue.append(b"one")
    assert link.receive() == (b"one", ("10.9.0.2", 500, "10.9.0.1", 500))
    assert link.receive() is None


def test_a_heap_in_pieces():
    """What is kept for it is given up for a datagram, and kept again; a longer one is cut."""
    link, fake = make_link()
    receive, kept = fake.recvfrom, []

    def short_of_memory(size):
        kept.append(link._kept is not None)
        if size > 1025:
            raise MemoryError
        return receive(size)

    fake.recvfrom = short_of_memory
    fake.queue += [b"one", bytes(2000)]
    assert [bytes(datagram) for datagram, _ in drain(link, 3)] == [b"one", bytes(1025)]
    assert kept == [True, False] * 3 and len(link._kept) == 1025


def test_an_empty_datagram_does_not_deafen_the_board():
    link, fake = make_link()
    fake.queue += [b"before", b"", b"after", b"", b"", b"last"]
    assert [datagram for datagram, _ in drain(link)] == [b"before", b"after", b"last"]
    assert link.empty_datagrams == 3
    assert fake.bound == 1 + 3


def test_a_stack_that_refuses_to_bind_again():
    link, fake = make_link()
    fake.rebind_error = 22
    fake.queue.append(b"")
    assert link.receive() is None
    assert link.empty_datagrams == 1


def test_an_error_other_than_nothing_there_is_not_swallowed():
    link, fake = make_link()

    def fail(size):
        raise OSError(9, "")

    fake.recvfrom = fail
    try:
        link.receive()
    except OSError as error:
        assert error.errno == 9
    else:
        raise AssertionError("swallowed")


def test_send_waits_for_room():
    link, fake = make_link()
    fake.refuse = [12, 105]
    link.send(("10.9.0.2", 500) + REMOTE, b"a")
    link.send(("10.9.0.2", 500) + REMOTE, b"b")
    assert fake.sent == []
    link.flush()
    assert fake.sent == [(b"a", REMOTE), (b"b", REMOTE)]
    assert link.send_failures == 0


def test_what_cannot_be_sent_is_counted():
    link, fake = make_link()
    fake.refuse = [113]
    link.send(("10.9.0.2", 500) + REMOTE, b"a")
    link.send(("10.9.0.2", 500) + REMOTE, b"b")
    assert fake.sent == [(b"b", REMOTE)]
    assert link.send_failures == 1
    fake.refuse = [12] * 99
    for number in range(10):
        link.send(("10.9.0.2", 500) + REMOTE, b"%d" % number)
    assert link.send_failures == 1 + 6
    fake.refuse = []
    link.flush()
    assert [datagram for datagram, _ in fake.sent[1:]] == [b"6", b"7", b"8", b"9"]


def test_sender_addresses():
    link, _ = make_link()
    assert link.decode(("10.0.0.1", 500)) == ("10.0.0.1", 500)
    raw = b"\x02\x00\x01\xf4\x0a\x00\x00\x01" + bytes(8)
    assert link.decode(raw) == ("10.0.0.1", 500)


def test_two_sockets_as_one_link():
    """IKE's port and the one it shares with ESP: the path's local port says which."""
    from agent import natt_sockets

    ike, shared = FakeSocket(), FakeSocket()
    opened = [ike, shared]

    class Module:
        AF_INET = SOCK_DGRAM = 2

        def socket(self, *_):
            return opened.pop(0)

    module = Module()
    module.getaddrinfo = ike.getaddrinfo
    link_udp.socket = module
    link = natt_sockets.Link(link_udp.Link, "10.9.0.2", 500, 4500)
    assert link.local == ("10.9.0.2", 500) and len(link.sockets) == 2
    assert link.receive() is None
    for _ in range(3):
        ike.queue.append(b"ike")
        shared.queue.append(b"shared")
    found = drain(link)
    assert sorted([(datagram, path[1]) for datagram, path in found]) == sorted(
        [(b"ike", 500), (b"shared", 4500)] * 3
    )
    link.send(("10.9.0.2", 4500, "10.9.0.1", 4500), b"to the shared one")
    link.send(("10.9.0.2", 500, "10.9.0.1", 500), b"to IKE's")
    assert [datagram for datagram, _ in shared.sent] == [b"to the shared one"]
    assert [datagram for datagram, _ in ike.sent] == [b"to IKE's"]
    shared.queue.append(b"")
    drain(link)
    assert link.empty_datagrams >= 1
    assert link.send_failures == 0
    link.close()
