"""Retransmission, duplicates and drop counters: what every exchange needs, whatever it carries."""

# name: (first timeout in ms, factor in percent, retransmissions after the first transmission)
PRESETS = {
    "strongswan": (4000, 180, 5),  # gives up after 165 s
    "fast": (500, 160, 6),  # gives up after 22 s
}
HALF_OPEN_MS = 30000  # how long a responder keeps an exchange that does not go on
STALE_MS = 3000  # ... and how long it has been on its way when it is the first to make room
MAX_REPLAYS = 2  # how often one reply is sent again for a repeated request ...
REPLAY_WINDOW_MS = 1000  # ... in so long


class Refused(Exception):
    """A peer that proved who it is and is still refused: `args` = (code, notify type, reason)."""


class Retransmitter:
    """When to send the initiator's last message again. Times in ms."""

    def __init__(self, preset):
        self.timeout, self.factor, self.retries = PRESETS[preset]
        self.attempt = 0
        self.wait = self.timeout
        self.due = None

    def sent(self, now):
        """A new message was sent: start over."""
        self.attempt = 0
        self.wait = self.timeout
        self.due = now + self.wait

    def expired(self, now):
        """None: not yet. True: send again. False: the tries are used up."""
        if self.due is None or now < self.due:
            return None
        if self.attempt == self.retries:
            return False
        self.attempt += 1
        self.wait = self.wait * self.factor // 100
        self.due = now + self.wait
        return True


class Replay:
    """Recognises the last message received, to answer it again without another look at it.

    A responder never retransmits on a timer; it repeats its reply when the request is repeated
    (RFC 2408 section 5.1), at most MAX_REPLAYS times in a window of time: whoever replays the
    request a thousand times does not use up what the peer's own retransmissions are answered with.
    """

    def __init__(self, digest=None):
        self.digest = digest
        self._since = None
        self._answered = 0

    def accept(self, digest):
        """A message was processed."""
        self.digest = digest
        self._since = None

    def is_duplicate(self, digest):
        return self.digest is not None and digest == self.digest

    def may_answer(self, now):
        if self._since is None or now - self._since >= REPLAY_WINDOW_MS:
            self._since = now
            self._answered = 0
        self._answered += 1
        return self._answered <= MAX_REPLAYS


class Drops:
    """Dropped datagrams by reason: every reason has a name, every datagram is counted."""

    def __init__(self):
        self.by_reason = {}

    def count(self, reason):
        """Count one; True where it deserves an event (the 1st, 2nd, 4th, 8th ... of a reason)."""
        total = self.by_reason.get(reason, 0) + 1
        self.by_reason[reason] = total
        return total & (total - 1) == 0
