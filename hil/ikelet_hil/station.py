"""A board as a test run has it: acquired once, watched, brought back where it fails, given up
where nothing helps."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType

from ikelet.agent import Agent, Event
from ikelet.boards import Board
from ikelet.config import Config
from ikelet.console import OnLine
from ikelet.device import DeviceError
from ikelet.diagnosis import AgentError
from ikelet.emulators.qemu import QemuError
from ikelet.emulators.rawrepl import ReplError
from ikelet.errors import IkeletError
from ikelet.links import LinkError
from ikelet_hil import power, recovery
from ikelet_hil.phases import DeadlineError, Phase, Phases
from ikelet_hil.power import PowerError
from ikelet_hil.recovery import DeadError, Ladder
from ikelet_hil.targets import Held, Target, Terms
from ikelet_hil.timeline import NoTimeline, Timeline

# What a board does that no test is about: AgentError's codes. "crashed" is not among them.
_INFRASTRUCTURE = ("dead", "hangs", "babbles", "no-boot", "firmware")
_ANSWER = 10.0  # seconds for a board to say how it is


@dataclass(frozen=True)
class Trouble:
    """What befell a board: `kind` is AgentError's code, or link, flash, deadline."""

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Recovery:
    """A board that came back: the trouble, the rung that helped."""

    trouble: Trouble
    rung: str

    def __str__(self) -> str:
        return f"{self.trouble}; {self.rung} brought it back"


class Station:
    """One board of a run. `dead` says why no more tests run on it, `recoveries` what it went
    through; `phases` and `timeline` are those of the test that runs, `again` why it runs again."""

    def __init__(self, target: Target, terms: Terms) -> None:
        self.target = target
        self.name = target.name
        self.dead = ""
        self.again: Recovery | None = None
        self.recoveries: list[Recovery] = []
        self.ladder: Ladder | None = None
        self.timeline: Timeline = NoTimeline()
        self.phases = Phases()
        self._terms = terms
        self._held: Held | None = None
        self._agents: list[Agent] = []

    @property
    def held(self) -> Held:
        assert self._held is not None
        return self._held

    @property
    def slowness(self) -> float:
        board = self._held.board if self._held else self.target.board
        return board.slowness if board else 1.0

    def acquire(self) -> Board:
        """The board, locked; at first one that somebody left in disorder is brought back. A board
        that cannot be had is dead. IkeletError."""
        if self._held is None:
            try:
                self._held = self.target.acquire(self._terms)
                if self._held.power:
                    self._held.power = power.Told(self._held.power, self._tell_of_power)
                self.ladder = recovery.ladder(self._held.board)
                self._take_over()
            except IkeletError as error:
                self.dead = self.dead or str(error)
                raise
        return self._held.board

    def start(
        self,
        config: Config,
        on_event: Callable[[Event], None] | None = None,
        on_line: OnLine | None = None,
    ) -> Agent:
        """The agent on this board, with its version checked."""
        agent = Agent(self.held.board, config, on_event, on_line, step=self._step)
        self._agents = [other for other in self._agents if not other.stopped] + [agent]
        try:
            recovery.check_agent(self.held.board, agent.boot)
        except BaseException:
            agent.stop()
            raise
        return agent

    def power_cycle(self, agent: Agent) -> None:
        """The board that runs `agent` loses its power without a word, gets it back, and boots."""
        switch = self.held.power
        if switch is None:
            self._tell_of_power("power off and on, by the emulator")
        agent.power_cycle((lambda: power.cycle(switch)) if switch else None)

    def examine(self, error: BaseException) -> Trouble | None:
        """Whether a test failed for its board, and not for what it is about."""
        lost = self._held.lost() if self._held else ""
        found = Trouble("lost", lost) if lost else _of_infrastructure(error)
        if found is None:
            for agent in self._agents:
                said = None if agent.stopped else agent.trouble(_ANSWER * self.slowness)
                found = found or (_of_infrastructure(said) if said else None)
        if found:
            self.tell(f"{self.name}: {found.kind}: {found}")
        return found

    def recover(self, trouble: Trouble) -> Recovery | None:
        """Climb the ladder; None where nothing helps: the board is dead from now on."""
        if trouble.kind == "lost":
            self.dead = str(trouble)
            return None
        assert self.ladder is not None
        first = "reflash" if trouble.kind == "firmware" else ""
        try:
            with self.phases.phase("recover", 0):
                rung = self.ladder.climb(self.held, recovery.probe, self.tell, first)
        except DeadError as error:
            self.dead = f"{trouble}; tried {error}"
            self.tell(f"{self.name} is dead: {self.dead}")
            return None
        self.recoveries.append(Recovery(trouble, rung))
        return self.recoveries[-1]

    def check(self) -> None:
        """Before a test: DeadError where the board is no longer this run's."""
        if self._held and (lost := self._held.lost()):
            raise DeadError(lost)

    def tell(self, text: str, **data: object) -> None:
        self.timeline.add("harness", text, **data)

    def _tell_of_power(self, text: str) -> None:
        self.timeline.add("power", text)

    def release(self) -> None:
        """Stop what runs on it and give it back."""
        for agent in self._agents:
            if not agent.stopped:
                with contextlib.suppress(IkeletError):
                    agent.stop()
        if self._held:
            held, self._held = self._held, None
            held.close()

    def _take_over(self) -> None:
        """Bring a board back whose last holder was killed, in whatever state he left it."""
        left = self.held.lock.left if self.held.lock else None
        if left is None:
            return
        doing = f" in the phase {left.doing}" if left.doing else ""
        trouble = Trouble("left", f"left behind{doing} by {left}")
        if self.recover(trouble) is None:
            raise DeadError(self.dead)

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[Phase]:
        """A phase of starting or stopping the board; one that writes flash is not interrupted."""
        lock = self.held.lock
        whole: AbstractContextManager[object] = contextlib.nullcontext()
        if lock:
            lock.doing(name)
        if name == "flash" and self.held.board.url:
            whole = _uninterrupted()
        self.tell(f"{self.name}: {name}")
        with self.phases.phase(name) as phase, whole:
            yield phase
        if lock:
            lock.doing("test")


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until this is done: half of a file would be left on the board."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[FrameType | None] = []
    before = signal.signal(signal.SIGINT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt


def _of_infrastructure(error: BaseException) -> Trouble | None:
    """The trouble that an exception tells by itself; None: it may be the test's own."""
    text = str(error)
    if isinstance(error, AgentError):
        return Trouble(error.code, text) if error.code in _INFRASTRUCTURE else None
    if isinstance(error, DeadlineError):
        return None if error.phase == "test" else Trouble("deadline", text)
    if isinstance(error, LinkError):
        return Trouble("link", text)
    if isinstance(error, (QemuError, ReplError, DeviceError, PowerError)):
        return Trouble("flash", text)
    return None
