"""Agents that stay on from test to test: a board boots once for many short tests."""

import socket
import time
from dataclasses import dataclass
from typing import Any

from ikelet.agent import Agent, Event
from ikelet.boards import Board
from ikelet.errors import IkeletError
from ikelet_hil.wire import LOOPBACK, bound

_LAST = b"\0"


@dataclass
class Standing:
    """A running agent, and what is needed to meet it: its settings, key and UDP port.

    What it tells goes to `events`.
    """

    wanted: dict[str, Any]
    agent: Agent
    key: str
    port: int
    events: list[Event]


class StandingAgents:
    """At most one a board: the next test that asks for the same settings gets it."""

    def __init__(self) -> None:
        self._agents: dict[str, Standing] = {}
        self._sockets: dict[str, socket.socket] = {}

    def socket(self, board: Board) -> socket.socket:
        """What every agent on this board takes for its peer: the wires' socket."""
        if board.name not in self._sockets:
            self._sockets[board.name] = bound()
        return self._sockets[board.name]

    def take(self, board: Board, wanted: dict[str, Any] | None) -> Standing | None:
        """The board's agent if it has these settings; any other ends, the board is needed."""
        standing = self._agents.pop(board.name, None)
        if standing and standing.wanted != wanted:
            standing.agent.stop()
            return None
        return standing

    def give_back(self, standing: Standing) -> None:
        """It stays on unless it is not quite itself."""
        try:
            standing.agent.take_down()
            well = self._settled(standing)
        except IkeletError:
            well = False
        if well:
            self._agents[standing.agent.board.name] = standing
        else:
            standing.agent.stop()

    def _settled(self, standing: Standing) -> bool:
        """Whether it is back at rest, and has taken all that was under way to it: one more
        datagram, behind the others, has been counted."""
        agent = standing.agent
        before = agent.status()
        if any(peer["state"] != "DOWN" for peer in before["peers"]):
            return False
        counted = before["drops"].get("too-short", 0)
        self.socket(agent.board).sendto(_LAST, (LOOPBACK, standing.port))
        deadline = time.monotonic() + 5 * agent.board.slowness
        while time.monotonic() < deadline:
            if agent.call("counters")["drops"].get("too-short", 0) > counted:
                return True
            time.sleep(0.01)
        return False

    def close(self) -> None:
        """End them all."""
        for standing in self._agents.values():
            standing.agent.stop()
        self._agents.clear()
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()

    def __enter__(self) -> "StandingAgents":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
