"""`ikelet status`: what an agent says of itself."""

from typing import Any

from ikelet import links
from ikelet.agent import Agent
from ikelet.boards import Board
from ikelet.config import Config
from ikelet.console import Console


def of_port(url: str) -> dict[str, Any]:
    """Ask the agent behind a port. Opening the port may reset the board: it gets time to boot."""
    with Console(links.open_link(url)) as console:
        result: dict[str, Any] = console.call("status", timeout=20)
        return result


def of_board(board: Board, config: Config) -> dict[str, Any]:
    """Boot a board and ask it; autostart is off, so it calls nobody."""
    with Agent(board, config) as agent:
        return agent.status()
