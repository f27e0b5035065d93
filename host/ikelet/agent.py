"""An agent on a board, as the host sees it: start it, bring a peer up, learn how that ended."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ikelet import boards, build, diagnosis, links
from ikelet.boards import Board, PowerCycled, Running
from ikelet.config import Config
from ikelet.console import Console, ConsoleTimeoutError, OnLine, Params
from ikelet.diagnosis import AgentError, AgentMisuseError
from ikelet.errors import IkeletError
from ikelet.links import LinkError
from ikelet.relay import Relay

Event = dict[str, Any]
# Surrounds a step of starting and stopping a board: "flash", "banner", "teardown".
Step = Callable[[str], AbstractContextManager[object]]

__all__ = ["Agent", "AgentError", "AgentMisuseError", "Event", "Outcome", "Step"]

BOOT_DEADLINE = 20.0
CALL_DEADLINE = 10.0
# How long an unauthenticated refusal is given to turn out to be somebody's forgery.
_GRACE = 1.0
_STATUS_NOTIFIES = ("CONNECTED", "INITIAL-CONTACT", "REPLAY-STATUS", "RESPONDER-LIFETIME")


@dataclass
class Outcome:
    """How bringing a peer up ended: what the last line of --json holds."""

    peer: str
    role: str
    established: bool = False
    reason: str = ""
    cookies: dict[str, str] | None = None
    suite: str | None = None
    auth: str | None = None
    lifetime: int | None = None
    engines: dict[str, Any] = field(default_factory=dict)
    timings_ms: dict[str, Any] = field(default_factory=dict)
    heap: dict[str, Any] = field(default_factory=dict)

    def as_event(self) -> Event:
        values = vars(self)
        if self.established:
            values = {key: value for key, value in values.items() if key != "reason"}
        return {"event": "result", **values}


class Agent:
    """A running agent. `on_event` is told every event of the board, in order, `on_line` every
    line of its console. `running` is its board, `boot` the event that it began with, `stopped`
    whether stop() was called."""

    def __init__(
        self,
        board: Board,
        config: Config,
        on_event: Callable[[Event], None] | None = None,
        on_line: OnLine | None = None,
        step: Step = contextlib.nullcontext,
    ) -> None:
        self.board = board = boards.fitted(board)
        self.config = config
        self.stopped = False
        self._on_event = on_event
        self._step = step
        files = build.files(board) | {"config.json": json.dumps(config.board).encode()}
        with step("flash"):
            self.running = boards.runner(board).start(board, files)
        self._console: Console | None = None
        self._relay: Relay | None = None
        try:
            with step("banner"):
                self._connect(on_line)
                self.boot = self._await_boot()
        except BaseException:
            self.stop()
            raise

    @property
    def console(self) -> Console:
        assert self._console is not None
        return self._console

    def bring_up(self, peer: str, timeout: float) -> Outcome:
        """Initiate, or as responder wait for the peer to; returns once it is decided."""
        outcome = Outcome(peer, self.config.peers[peer]["role"])
        if outcome.role == "initiator":
            self.call("up", {"peer": peer})
        outcome.reason = self._follow(outcome, timeout)
        outcome.established = not outcome.reason
        counters = self.call("counters")
        outcome.engines, outcome.heap = counters["engines"], counters["heap"]
        return outcome

    def status(self) -> dict[str, Any]:
        result: dict[str, Any] = self.call("status")
        return result

    def hold(self, peer: str, seconds: float) -> str:
        """Keep an SA for `seconds`; why it went before, or "" when it did not."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            event = self._next_event(left)
            if event and event["event"] == "deleted" and event.get("peer") == peer:
                return "the peer took it down" if event.get("by") == "peer" else "it expired"
        return ""

    def call(self, method: str, params: Params | None = None) -> Any:
        """A method of the board's console."""
        try:
            return self.console.call(method, params, CALL_DEADLINE * self.board.slowness)
        except LinkError as error:
            raise self._death() from error

    def take_down(self, timeout: float = 2.0) -> None:
        """Take every SA down; what the board told until then is read to its end."""
        for peer in self.config.peers:
            self.console.call("down", {"peer": peer}, timeout * self.board.slowness)
        self.catch_up()

    def catch_up(self) -> None:
        """Read what the board has told so far."""
        while not self.console.notifications.empty():
            self._next_event(0)

    def power_cycle(self, switch: Callable[[], None] | None = None) -> None:
        """The board loses its power without a word, gets it back, and boots. `switch` does that to
        a board that is none of ours."""
        on_line = self.console.on_line
        self._disconnect()
        if isinstance(self.running, PowerCycled):
            self.running.power_cycle()
        elif switch:
            switch()
        else:
            raise AgentError(f"nothing switches the power of {self.board.name}")
        self._connect(on_line)
        self.boot = self._await_boot()

    @contextlib.contextmanager
    def lent(self) -> Iterator[Running]:
        """The board's serial line is somebody else's for a while."""
        on_line = self.console.on_line
        self._disconnect()
        try:
            yield self.running
        finally:
            self._connect(on_line)

    def trouble(self, timeout: float) -> AgentError | None:
        """Ask the board how it is: why it is of no use any more, or None where it answers within
        `timeout` seconds."""
        before = diagnosis.counts(self.console)
        try:
            self.console.call("status", timeout=timeout)
        except ConsoleTimeoutError:
            return diagnosis.silence(self.running, self.console, timeout, before)
        except LinkError:
            return self._death()
        return None

    def stop(self) -> None:
        """Take the SAs down, so that the peers' go too, and end the board."""
        self.stopped = True
        with self._step("teardown"):
            try:
                if self._console and not self._console.gone and not self.running.ended():
                    self._say_goodbye()
            finally:
                self._disconnect()
                self.running.stop()

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _connect(self, on_line: OnLine | None) -> None:
        link = links.open_link(self.running.url)
        handlers = {"udp": self._send_datagram}
        one_by_one = self.board.serial_room is not None
        self._console = Console(link, handlers, on_line, one_by_one)
        if self.board.link == "uart":
            network = self.config.board["network"]
            self._relay = Relay(
                self._console.call,
                network["bind"],
                network["port"],
                narrow=self.board.serial_room is not None,
            )

    def _disconnect(self) -> None:
        if self._console:
            self._console.close()
        if self._relay:
            self._relay.close()

    def _say_goodbye(self) -> None:
        # Already on the way out: a board that does not answer is ended all the same.
        with contextlib.suppress(IkeletError):
            self.take_down()

    def _send_datagram(self, params: Params) -> None:
        if self._relay:
            self._relay.send(params)

    def _await_boot(self) -> Event:
        deadline = time.monotonic() + BOOT_DEADLINE * self.board.slowness
        while (left := deadline - time.monotonic()) > 0:
            event = self._next_event(left)
            if event and event["event"] == "boot":
                return event
            if event and event["event"] == "fatal":
                code, reason = str(event.get("code")), str(event.get("reason"))
                raise (AgentMisuseError if code in _MISUSE else AgentError)(reason, code)
        seconds = BOOT_DEADLINE * self.board.slowness
        raise diagnosis.silence(self.running, self.console, seconds, starting=True)

    def _follow(self, outcome: Outcome, timeout: float) -> str:
        """Read events until the outcome is known; the reason of a failure, or ""."""
        end = deadline = time.monotonic() + timeout
        last: Event = {}
        refused = ""
        while (left := deadline - time.monotonic()) > 0:
            event = self._next_event(left)
            if event is None or event.get("peer") != outcome.peer:
                continue
            match event["event"]:
                case "message":
                    # Progress: a refusal that came before was not the peer's.
                    last, refused, deadline = event, "", end
                case "established":
                    for key in ("role", "cookies", "suite", "auth", "lifetime", "timings_ms"):
                        setattr(outcome, key, event.get(key))
                    return ""
                case "failed":
                    return str(event.get("reason"))
                case "notify" if event.get("type") not in _STATUS_NOTIFIES and not refused:
                    refused = f"the peer answered {event.get('type')}"
                    if not event.get("authenticated"):
                        refused += " (not authenticated)"
                        deadline = min(end, time.monotonic() + _GRACE)
        return refused or self._silence(outcome, last, timeout)

    def _silence(self, outcome: Outcome, last: Event, timeout: float) -> str:
        peer = self.config.peers[outcome.peer]
        where = f"{peer['address']} port {peer['port']}"
        number = last.get("number", 0)
        if number == 0:
            return f"{outcome.peer} ({where}) did not initiate within {timeout:g} s"
        short = f"no answer to message {number} within {timeout:g} s"
        if last.get("direction") == "in":
            return f"nothing came of message {number} within {timeout:g} s"
        if number == 1:
            return f"{short}: is there a gateway at {where} that knows {peer.get('local_id')}?"
        if number in (4, 5):
            return f"{short}: do the pre-shared keys differ?"
        return short

    def _next_event(self, timeout: float) -> Event | None:
        """The board's next event, which `on_event` has been told, or None."""
        try:
            found = self.console.next(timeout)
        except LinkError as error:
            raise self._death() from error
        if found is None or found[0] != "event" or "event" not in found[1]:
            return None
        if self._on_event:
            self._on_event(found[1])
        return found[1]

    def _death(self) -> AgentError:
        return diagnosis.death(self.running, self.console)


_MISUSE = ("bad-configuration", "not-provisioned")
