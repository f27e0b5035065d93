"""`ikelet up`: a configured agent on a board, until its peer is up."""

from ikelet.agent import Agent, Outcome
from ikelet.boards import Board
from ikelet.config import Config
from ikelet.errors import MisuseError
from ikelet.show import Show


def choose_peer(config: Config, name: str | None) -> str:
    """The peer to bring up: the one that is named, or the only one."""
    known = ", ".join(config.peers)
    if name is None:
        if len(config.peers) > 1:
            raise MisuseError(f"several peers are configured; say --peer, one of {known}")
        return next(iter(config.peers))
    if name not in config.peers:
        raise MisuseError(f"no peer is called {name}; there are: {known}")
    return name


def run(
    board: Board, config: Config, name: str, timeout: float, hold: float, show: Show
) -> Outcome:
    """Boot, bring `name` up, keep it for `hold` seconds, take it down."""
    show.waiting(f"booting {board.name}")
    with Agent(board, config, show.event) as agent:
        ours, peer = config.board["network"], config.peers[name]
        other = "responder" if peer["role"] == "initiator" else "initiator"
        show.opening(
            peer["auth"],
            [
                ("agent", f"{board.title}, {board.heap // 1024} KB heap"),
                ("", f"{peer['role']} {ours['bind']} port {ours['port']}"),
                ("peer", f"{name}, {other} {peer['address']} port {peer['port']}"),
            ],
        )
        show.waiting(
            "negotiating" if peer["role"] == "initiator" else f"waiting for {name} to initiate"
        )
        outcome = agent.bring_up(name, timeout)
        if outcome.established and hold:
            show.waiting(f"established; held for {hold:g} s")
            gone = agent.hold(name, hold)
            if gone:
                outcome.established, outcome.reason = False, f"established, but then {gone}"
        return outcome
