"""The phases of a test, each with a deadline of its own, scaled by how slow the board is.

A phase within a phase stops the outer one's clock: a test that starts a board has its whole time
left once the board runs.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from ikelet.errors import IkeletError

# Seconds, on a board of slowness 1. A test's own marker `timeout` stands in for "test"; 0: none.
SECONDS = {
    "acquire": 60.0,
    "flash": 120.0,
    "banner": 30.0,
    "network": 60.0,
    "test": 120.0,
    "teardown": 60.0,
    "recover": 120.0,
}


class DeadlineError(IkeletError):
    """A phase took too long."""

    def __init__(self, phase: str, seconds: float) -> None:
        super().__init__(f"deadline of the phase {phase}: {seconds:g} s")
        self.phase = phase


@dataclass
class Phase:
    """One phase as it was: `seconds` its own time, without those within it; `allowed` 0: none."""

    name: str
    began: float
    allowed: float
    seconds: float = 0.0
    resumed: float = 0.0

    @property
    def left(self) -> float:
        return self.allowed - self.seconds


class Phases:
    """What a test went through, in order of beginning. `tell(phase)` is called at each change,
    with None at the end."""

    def __init__(
        self,
        slowness: float = 1.0,
        tell: Callable[[Phase | None], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slowness = slowness
        self.taken: list[Phase] = []
        self._tell = tell
        self._clock = clock
        self._stack: list[Phase] = []

    @property
    def current(self) -> Phase | None:
        return self._stack[-1] if self._stack else None

    @contextlib.contextmanager
    def phase(self, name: str, seconds: float | None = None) -> Iterator[Phase]:
        """`seconds` instead of what SECONDS says; 0 for no deadline. DeadlineError is raised in
        the main thread, whatever it is doing."""
        allowed = (SECONDS[name] if seconds is None else seconds) * self.slowness
        mine = Phase(name, self._clock(), allowed)
        self._pause()
        self._stack.append(mine)
        self.taken.append(mine)
        try:
            with _alarms(self._late):
                self._resume()
                yield mine
        finally:
            self._pause()
            self._stack.pop()
            self._resume()

    def totals(self) -> dict[str, float]:
        """Seconds by phase."""
        found: dict[str, float] = {}
        for phase in self.taken:
            found[phase.name] = round(found.get(phase.name, 0.0) + phase.seconds, 4)
        return found

    def _pause(self) -> None:
        _set_alarm(0)
        if self.current:
            self.current.seconds += self._clock() - self.current.resumed

    def _resume(self) -> None:
        phase = self.current
        self._tell(phase)
        if phase:
            phase.resumed = self._clock()
            # One that is over already is told at once, rather than never.
            _set_alarm(max(phase.left, 0.001) if phase.allowed else 0)

    def _late(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        phase = self.current
        if phase:
            raise DeadlineError(phase.name, phase.allowed)


def _usable() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _set_alarm(seconds: float) -> None:
    if _usable():
        signal.setitimer(signal.ITIMER_REAL, seconds)


@contextlib.contextmanager
def _alarms(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if not _usable():
        yield
        return
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
