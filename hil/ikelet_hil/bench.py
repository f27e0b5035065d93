"""An agent on a board, a gateway opposite it, and the wire between, for one negotiation."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from ikelet import config, peers, psk
from ikelet.agent import Agent, Event, Outcome
from ikelet.boards import Board
from ikelet.config import Config
from ikelet.console import OnLine
from ikelet.demo import LOOPBACK, free_port
from ikelet.peers import Peer, PeerConfig, PeerResult
from ikelet_hil.evidence import NoEvidence
from ikelet_hil.standing import Standing, StandingAgents
from ikelet_hil.wire import Wire

SUITE = "aes256-sha256-modp2048"
OURS, THEIRS = "10.9.0.2", "10.9.0.1"
OTHER = {"initiator": "responder", "responder": "initiator"}
LEGACY = ("3des", "md5", "sha1", "modp1024", "modp1536")


# Starts the agent with a configuration, and tells its events and the lines of its console.
Start = Callable[[Config, Callable[[Event], None], OnLine], Agent]


class Bench:
    """`start` starts both sides, `negotiate` runs the exchange; everything ends with the bench.

    `agent` (whose part is `role`) and `peer` are there to be asked, all that passes between them
    goes over `wire`, and `events` holds what the board told. `seed` is the wire's, `standing` the
    agents that may be used again, `start` starts a new one, `evidence` is told of everything.
    """

    agent: Agent
    peer: Peer

    def __init__(
        self,
        board: Board,
        seed: int | None = None,
        standing: StandingAgents | None = None,
        start: Start | None = None,
        evidence: NoEvidence | None = None,
    ) -> None:
        self.board = board
        self._start = start or (lambda given, *told: Agent(board, given, *told))
        self._evidence = evidence or NoEvidence()
        self.events: list[Event] = []
        self._ending = contextlib.ExitStack()
        self._standing = standing or self._ending.enter_context(StandingAgents())
        self._borrowed: Standing | None = None
        self._make_peer: Callable[[], Peer]
        self._before: dict[str, int] = {}
        self.role = ""
        lent = self._standing.socket(board)
        self.wire = self._ending.enter_context(
            Wire(None, None, self._evidence.timeline, seed, lent)
        )

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._ending.close()
        finally:
            if self._borrowed:
                self._standing.give_back(self._borrowed)

    def start(
        self,
        kind: str,
        role: str,
        agent: dict[str, Any] | None = None,
        peer: dict[str, Any] | None = None,
        suite: str = SUITE,
        *,
        device: dict[str, Any] | None = None,
        certificate: dict[str, Any] | None = None,
        reuse: bool = False,
        **options: Any,
    ) -> None:
        """Both sides, ready to begin. `role` is the agent's; `agent`, `device` and `peer` override
        settings of either, None takes one away; `certificate` is the agent's section of this name,
        `options` go to the kind of peer. `reuse`: an agent that a test before left with the same
        settings will do; its engines' counters go on."""
        ours: dict[str, Any] = {
            "address": self.wire.agent_side[0],
            "port": self.wire.agent_side[1],
            "role": role,
            "local_id": OURS,
            "remote_id": THEIRS,
            "proposals": [suite],
            "retransmit": "fast",
            "legacy": any(part in LEGACY for part in suite.split("-")),
        } | (agent or {})
        ours = {key: value for key, value in ours.items() if value is not None}
        # A board at a port gets its next configuration at the prompt, where Ctrl-C must lead.
        own = {"name": "bench", "development": bool(self.board.url)} | (device or {})
        wanted = {"device": own, "peer": {"gw": ours}}
        if certificate:
            wanted["certificate"] = certificate
        running = self._standing.take(self.board, wanted if reuse else None)
        key, port = (running.key, running.port) if running else (self._evidence.psk(), free_port())
        theirs: dict[str, Any] = {
            "role": OTHER[role],
            "local": (LOOPBACK, 0),
            "remote": self.wire.peer_side,
            "psk": psk.decoded(key),
            "local_id": THEIRS,
            "remote_id": OURS,
            "proposals": [suite],
        }
        theirs |= self._evidence.peer_settings() | (peer or {})
        self._make_peer = lambda: peers.make_peer(kind, PeerConfig(**theirs), **options)
        self.wire.connect(agent=(LOOPBACK, port))
        self._start_peer()
        if running is None:
            running = self._boot(wanted, key, port)
        if reuse:
            self._borrowed = running
        else:
            self._ending.enter_context(running.agent)
        running.events.clear()
        self.agent, self.events, self.role = running.agent, running.events, role
        self._evidence.started(self)
        self._before = self._counted()

    def _boot(self, wanted: dict[str, Any], key: str, port: int) -> Standing:
        gateway = wanted["peer"]["gw"]
        if gateway.get("auth") != "cert":
            gateway = {"psk": key} | gateway
        network = {"bind": LOOPBACK, "port": port}
        given = config.check(wanted | {"network": network, "peer": {"gw": gateway}})
        events: list[Event] = []
        agent = self._start(given, events.append, self._evidence.line)
        return Standing(wanted, agent, key, port, events)

    def replace_peer(self) -> None:
        """Another peer with the same settings, that knows of no exchange and no SA."""
        self.peer.stop()
        self._start_peer()

    def _start_peer(self) -> None:
        self.peer = self._ending.enter_context(self._make_peer())
        self.wire.connect(peer=self.peer.address)

    def begin(self) -> None:
        """Have the initiator begin, whoever that is."""
        if self.role == "responder":
            self.peer.initiate()
        else:
            self.agent.call("up", {"peer": "gw"})

    def negotiate(self, timeout: float = 30) -> tuple[Outcome, PeerResult]:
        """Run the exchange; both sides' view of how it ended."""
        timeout *= self.board.slowness
        if self.role == "responder":
            self.peer.initiate()
        outcome = self.agent.bring_up("gw", timeout)
        return outcome, self.peer.wait(timeout if outcome.established else 1)

    def drops(self) -> dict[str, int]:
        """The board's drop counters, of this test's datagrams."""
        counted = self._counted().items()
        since = {reason: total - self._before.get(reason, 0) for reason, total in counted}
        return {reason: total for reason, total in since.items() if total}

    def cookies(self) -> bytes:
        """Both cookies of the latest SA, as the board tells them."""
        made = [event for event in self.events if event["event"] == "established"][-1]["cookies"]
        return bytes.fromhex(made["initiator"] + made["responder"])

    def until(self, condition: Callable[[], Any], timeout: float = 5) -> Any:
        """The first true value of `condition`; AssertionError where there is none in time."""
        found = eventually(condition, timeout * self.board.slowness)
        assert found, "it did not come to that in time"
        return found

    def _counted(self) -> dict[str, int]:
        counted: dict[str, int] = self.agent.call("counters")["drops"]
        return counted


def eventually(condition: Callable[[], Any], timeout: float = 5) -> Any:
    """The first true value of `condition` within the time, else its last."""
    deadline = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value
