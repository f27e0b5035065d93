"""Retransmission, duplicates and drop counters: what every exchange needs, whatever it carries."""

# name: (first timeout in ms, factor in percent, retransmissions after the first transmission)
PRESETS = {
    "strongswan": (4000, 180, 5),  # gives up after 165 s
    "fast": (500, 160, 6),  # gives up after 22 s
}
HALF_OPEN_MS = 30000  # how long a responder keeps an exchange that does not go on
MAX_REPLAYS = 2  # how often one reply is sent again for a repeated request


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

    def stop(self):
        self.due = None


class Replay:
    """Recognises the last message received, to answer it again without another look at it.

    A responder never retransmits on a timer; it repeats its reply, at most MAX_REPLAYS times,
    when the request is repeated (RFC 2408 section 5.1).
    """

    def __init__(self):
        self.digest = None
        self.left = 0

    def accept(self, digest):
        """A message was processed."""
        self.digest = digest
        self.left = MAX_REPLAYS

    def is_duplicate(self, digest):
        return self.digest is not None and digest == self.digest

    def may_answer(self):
        if self.left == 0:
            return False
        self.left -= 1
        return True


class Drops:
    """Dropped datagrams by reason: every reason has a name, every datagram is counted."""

    def __init__(self):
        self.by_reason = {}

    def count(self, reason):
        """Count one; True where it deserves an event (the 1st, 2nd, 4th, 8th ... of a reason)."""
        total = self.by_reason.get(reason, 0) + 1
        self.by_reason[reason] = total
        return total & (total - 1) == 0
