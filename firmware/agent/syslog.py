"""Events to a syslog server: messages of RFC 5424 over UDP (RFC 5426).

Loaded where the configuration has [syslog]. Nothing ever waits for a log: what comes too fast, or
what the network does not take at once, is lost, and the next message says how much was. `meta`
has the uptime, for a board that does not know the time.
"""

from micropython import const

from agent.wall import Wall

_FACILITIES = {"user": 1, "daemon": 3, "auth": 4, "authpriv": 10}  # and local0..7: 16..23
_SEVERITIES = {  # RFC 5424 section 6.2.1, table 2
    "fatal": 2,
    "engine": 3,
    "failed": 4,
    "unresolved": 4,
    "certificate-expires": 4,
    "clock": 4,
    "boot": 5,
    "established": 5,
    "deleted": 5,
}
_INFORMATIONAL = const(6)
_BURST = const(8)
_EVERY_MS = const(1000)  # once the burst is used up
_LAST_ID = const(2147483647)  # of sequenceId, section 7.3.1
_MAX_NAME = const(32)  # of MSGID, section 6.2.7


class Syslog:
    """`settings`: the section; `name`: the device's; `now()`: Unix seconds or None; `send(bytes)`
    raises OSError where that is not possible just now."""

    def __init__(self, settings, name, now, send):
        facility = settings["facility"]
        known = _FACILITIES.get(facility)
        self._facility = 16 + int(facility[-1]) if known is None else known
        self._name = name
        self._now = now
        self._send = send
        self._number = 0
        self._tokens = _BURST
        self._since = 0  # when the last token came
        self.lost = 0

    def tell(self, event, text):
        """Send an event, as `text` in printable ASCII, or count it as lost."""
        now = event["t_ms"]
        fresh = (now - self._since) // _EVERY_MS
        if fresh > 0:
            self._tokens = min(_BURST, self._tokens + fresh)
            self._since += fresh * _EVERY_MS
        if not self._tokens:
            self.lost += 1
            return
        self._tokens -= 1
        if self.lost:
            text = "%s (%d before were lost)" % (text, self.lost)
        number = self._number % _LAST_ID + 1
        try:
            self._send(self._message(event, number, text).encode())
        except OSError:
            self.lost += 1
            return
        self._number = number
        self.lost = 0

    def _message(self, event, number, text):
        """Section 6: PRI and VERSION, TIMESTAMP HOSTNAME APP-NAME PROCID MSGID, data, text."""
        name = event["event"][:_MAX_NAME]
        priority = self._facility * 8 + _SEVERITIES.get(name, _INFORMATIONAL)
        header = "<%d>1 %s %s ikelet - %s" % (priority, _timestamp(self._now()), self._name, name)
        uptime = event["t_ms"] // 10 & 0xFFFFFFFF  # TimeTicks: hundredths of a second
        return '%s [meta sequenceId="%d" sysUpTime="%d"] %s' % (header, number, uptime, text)


def start(agent):
    """The Syslog of an agent whose link is open; it sees to the agent's clock as well. OSError."""
    config = agent.config
    given = config["syslog"]
    if agent.wall is None:
        agent.wall = Wall(agent.clock, 0, config["network"].get("ntp"))
    if agent.board.get("link") == "uart":
        path = agent.link.local + (given["address"], given["port"])
        return Syslog(given, config["device"]["name"], agent.wall.now, _relayed(agent.link, path))
    return Syslog(given, config["device"]["name"], agent.wall.now, _socket(given))


def _relayed(link, path):
    """The host has the network."""
    return lambda datagram: link.send(path, datagram)


def _socket(given):
    """A socket of its own: what fails on it is none of the exchanges' business."""
    import socket

    family, _, _, _, address = socket.getaddrinfo(given["address"], given["port"])[0]
    own = socket.socket(family, socket.SOCK_DGRAM)
    own.setblocking(False)
    return lambda datagram: own.sendto(datagram, address)


def _timestamp(seconds):
    """Section 6.2.3; "-" where the time is not known."""
    if seconds is None:
        return "-"
    import time

    epoch = 946684800 if time.gmtime(0)[0] == 2000 else 0  # ports count from 2000 or from 1970
    return "%04d-%02d-%02dT%02d:%02d:%02dZ" % tuple(time.gmtime(seconds - epoch)[:6])
