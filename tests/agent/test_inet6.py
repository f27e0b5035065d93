"""IPv6: one spelling, and boards without it."""

from agent import inet6, udp6

SPELLINGS = (
    ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
    ("2001:db8::0001", "2001:db8::1"),
    ("::", "::"),
    ("::1", "::1"),
    ("1::", "1::"),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),  # the first of two alike
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),  # one zero is no run
    ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
    ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
)


def test_one_spelling():
    for given, expected in SPELLINGS:
        assert inet6.canonical(given) == expected, given
        assert inet6.canonical(expected) == expected
    for other in ("10.9.0.1", "gw.example", "any", ":::"):
        assert inet6.canonical(other) == other


def test_a_board_without_ipv6():
    class Esp32:
        AF_INET6 = 10

        def getaddrinfo(self, host, port):
            raise OSError(-202)

    class Older:
        def getaddrinfo(self, host, port):
            return [(2, 1, 0, "", ("0.0.0.0", port))]

    before = udp6.socket
    try:
        for fake in (Esp32(), Older()):
            udp6.socket = fake
            assert not udp6.available()
    finally:
        udp6.socket = before
