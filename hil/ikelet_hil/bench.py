"""An agent on a board, a gateway opposite it, and the wire between, for one negotiation."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from ikelet import config, peers, psk
from ikelet.agent import Agent, Event, Outcome
from ikelet.boards import Board
from ikelet.demo import LOOPBACK, free_port
from ikelet.peers import Peer, PeerConfig, PeerResult
from ikelet_hil.wire import Timeline, Wire

SUITE = "aes256-sha256-modp2048"
OURS, THEIRS = "10.9.0.2", "10.9.0.1"
OTHER = {"initiator": "responder", "responder": "initiator"}
LEGACY = ("3des", "md5", "sha1", "modp1024", "modp1536")


class Bench:
    """`start` starts both sides, `negotiate` runs the exchange; everything ends with the bench.

    `agent` and `peer` are there to be asked, all that passes between them goes over `wire`, and
    `events` holds what the board told. `seed` is the wire's.
    """

    def __init__(
        self, board: Board, timeline: Timeline | None = None, seed: int | None = None
    ) -> None:
        self.board = board
        self.events: list[Event] = []
        self.agent: Agent
        self.peer: Peer
        self._ending = contextlib.ExitStack()
        self.wire = self._ending.enter_context(Wire(timeline=timeline, seed=seed))

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.close()

    def start(
        self,
        kind: str,
        role: str,
        agent: dict[str, Any] | None = None,
        peer: dict[str, Any] | None = None,
        suite: str = SUITE,
        **options: Any,
    ) -> None:
        """Both sides, ready to begin. `role` is the agent's; `agent` and `peer` override the
        settings of either, `options` go to the kind of peer."""
        key, port = psk.generate(), free_port()
        theirs: dict[str, Any] = {
            "role": OTHER[role],
            "local": (LOOPBACK, 0),
            "remote": self.wire.peer_side,
            "psk": psk.decoded(key),
            "local_id": THEIRS,
            "remote_id": OURS,
            "proposals": [suite],
        }
        theirs.update(peer or {})
        self.peer = peers.make_peer(kind, PeerConfig(**theirs), **options)
        self._ending.enter_context(self.peer)
        self.wire.connect(agent=(LOOPBACK, port), peer=self.peer.address)
        ours: dict[str, Any] = {
            "address": self.wire.agent_side[0],
            "port": self.wire.agent_side[1],
            "role": role,
            "psk": key,
            "local_id": OURS,
            "remote_id": THEIRS,
            "proposals": [suite],
            "retransmit": "fast",
            "legacy": any(part in LEGACY for part in suite.split("-")),
        }
        ours.update(agent or {})
        given = config.check(
            {
                "device": {"name": "bench"},
                "network": {"bind": LOOPBACK, "port": port},
                "peer": {"gw": ours},
            }
        )
        self.agent = self._ending.enter_context(Agent(self.board, given, self.events.append))

    def negotiate(self, timeout: float = 30) -> tuple[Outcome, PeerResult]:
        """Run the exchange; both sides' view of how it ended."""
        timeout *= self.board.slowness
        if self.peer.config.role == "initiator":
            self.peer.initiate()
        outcome = self.agent.bring_up("gw", timeout)
        return outcome, self.peer.wait(timeout if outcome.established else 1)

    def drops(self) -> dict[str, int]:
        """The board's drop counters."""
        drops: dict[str, int] = self.agent.call("counters")["drops"]
        return drops


def eventually(condition: Callable[[], Any], timeout: float = 5) -> Any:
    """The first true value of `condition` within the time, else its last."""
    deadline = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value
