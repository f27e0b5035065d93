"""Which peers are to be up, and when to try again where one is not."""

from micropython import const

from hal import HalError

_NOT_READY_MS = const(500)
LASTING_MS = const(60000)  # an SA that goes sooner counts as one more failure


class Upkeep:
    """Initiates to the peers that are wanted, with back-off and jitter after failures.

    `ready(name)` is asked before each attempt: True; False, ask again; None, it has failed.
    """

    def __init__(self, engine, ready=None):
        self._engine = engine
        self._ready = ready
        self._due = {}  # peer name: when to initiate; None while it is up, or under way
        self._failures = {}  # peer name: attempts since it was up for a while

    def want(self, name, now):
        """Keep a peer up from `now` on; None: it is being brought up already."""
        self._due[name] = now
        self._failures[name] = 0

    def forget(self, name):
        self._due.pop(name, None)
        self._failures.pop(name, None)

    def fails(self, name):
        """Whether a wanted peer's SA went again before it had lasted, or never came."""
        return self._failures.get(name, 0) > 1

    def soon(self, now):
        """The network is back: no long pause before the next attempts."""
        for name, due in self._due.items():
            self._failures[name] = 0
            if due is not None:
                self._due[name] = now + self._pause(name)

    def run(self, now):
        """Initiate to whoever is due."""
        for name, due in self._due.items():
            sa = self._engine.find(name)
            if sa:
                self._due[name] = None
                if sa.state == "ESTABLISHED" and now - sa.established >= LASTING_MS:
                    self._failures[name] = 0
            elif due is None:
                self._due[name] = now + self._pause(name)
            elif now >= due:
                ready = self._ready is None or self._ready(name)
                if ready:
                    self._due[name] = None
                    self._initiate(name, now)
                else:
                    pause = self._pause(name) if ready is None else _NOT_READY_MS
                    self._due[name] = now + pause

    def _initiate(self, name, now):
        try:
            self._engine.initiate(name, now)
        except (HalError, MemoryError):
            pass  # the engine counts what failed; the next attempt is due as after others

    def deadline(self):
        """The time of the next attempt in ms, or None."""
        times = [due for due in self._due.values() if due is not None]
        return min(times) if times else None

    def _pause(self, name):
        from ike import lifetime

        failures = self._failures[name]
        self._failures[name] = failures + 1
        return lifetime.backoff(self._engine.hal, failures)
