"""The time of day, as far as the board knows it, and what hangs on it."""

from micropython import const

_TO_2000 = const(946684800)  # seconds from 1970, the epoch of Unix, to that of some ports
_PLAUSIBLE = const(1700000000)  # a clock that shows less was never set
_PATIENCE_MS = const(30000)  # for the end of exchanges: anybody can begin them
_AGAIN_MS = const(600000)  # after a time server has not answered
_DAY_MS = const(86400000)
_DAY_S = const(86400)
_WARN_DAYS = const(30)


class Wall:
    """`now()`: Unix seconds, or None where nobody has set the clock.

    `clock()`: the agent's milliseconds. `floor`: a time that is certainly past, as provisioning
    knew it, 0 for none; from there on the uptime counts. A clock that is late takes an expired
    certificate for good as long as it is late. `ntp`: a time server's name, or None.
    """

    def __init__(self, clock, floor, ntp=None):
        self._clock = clock
        self._floor = floor
        self._ntp = ntp
        self._due = clock()

    def now(self):
        own = _port_time()
        if own >= max(_PLAUSIBLE, self._floor):
            return own
        return self._floor + self._clock() // 1000 if self._floor else None

    def tend(self, expires, tell, settled=True):
        """Once a day: set the clock, and warn of a certificate (`expires`, Unix seconds, or None)
        that will expire soon. `tell(event)`. It blocks for as long as a server's name and the
        server are waited for: not before the exchanges are `settled`, if that is soon."""
        if self._clock() < self._due + (not settled) * _PATIENCE_MS:
            return
        self._due = self._clock() + _DAY_MS
        if self._ntp:
            try:
                _ask(self._ntp)
            except Exception as error:  # of a module of the firmware's, about anybody's datagram
                self._due = self._clock() + _AGAIN_MS
                tell({"event": "clock", "server": self._ntp, "error": str(error)})
        now = self.now()
        if now is not None and expires and expires - now < _WARN_DAYS * _DAY_S:
            days = max(0, (expires - now) // _DAY_S)
            tell({"event": "certificate-expires", "expires": expires, "days": days})


def _port_time():
    """The port's own clock in Unix seconds, 0 where it has none."""
    try:
        import time

        return int(time.time()) + (_TO_2000 if time.gmtime(0)[0] == 2000 else 0)
    except (ImportError, AttributeError):
        return 0


def _ask(server):
    """Set the port's clock by SNTP, with the module that stock firmware carries."""
    import ntptime

    ntptime.host = server
    ntptime.settime()
