"""`ikelet demo`: an agent and a peer gateway on this machine, brought up with one another."""

import socket
import time

from ikelet import config, peers, psk
from ikelet.agent import Agent, Outcome
from ikelet.boards import Board
from ikelet.config import Config
from ikelet.errors import IkeletError, MisuseError
from ikelet.peers import Peer, PeerConfig
from ikelet.show import Show

LOOPBACK = "127.0.0.1"
PROPOSALS = ["aes256-sha256-modp2048", "aes128-sha256-modp2048"]
_PEERS = {
    "builtin": "built-in gateway (scapy and pyca/cryptography)",
    "strongswan": "strongSwan's charon",
}


def run(board: Board, kind: str, timeout: float, show: Show) -> Outcome:
    """Bring phase 1 up on the loopback interface, with a key made for this run."""
    key = psk.generate()
    port = free_port()
    try:
        show.waiting(f"starting {_PEERS[kind]}")
        with peers.make_peer(kind, _peer_config(key, port)) as peer:
            return _negotiate(
                board, peer, kind, configuration(key, port, peer.address), timeout, show
            )
    except peers.PeerUnavailableError as error:
        raise MisuseError(f"--peer {kind}: {error}") from error
    except peers.PeerError as error:
        raise IkeletError(f"{kind} peer: {error}") from error


def configuration(key: str, port: int, peer: tuple[str, int]) -> Config:
    """An agent on loopback port `port`, the initiator towards `peer`."""
    return config.check(
        {
            "device": {"name": "demo"},
            "network": {"bind": LOOPBACK, "port": port},
            "peer": {
                "gateway": {
                    "address": peer[0],
                    "port": peer[1],
                    "psk": key,
                    "proposals": PROPOSALS,
                    "retransmit": "fast",
                }
            },
        }
    )


def free_port() -> int:
    """A UDP port of the loopback interface that nobody uses just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _peer_config(key: str, port: int) -> PeerConfig:
    return PeerConfig(
        role="responder",
        local=(LOOPBACK, 0),
        remote=(LOOPBACK, port),
        psk=psk.decoded(key),
        local_id=LOOPBACK,
        remote_id=LOOPBACK,
        proposals=PROPOSALS,
    )


def _negotiate(
    board: Board, peer: Peer, kind: str, given: Config, timeout: float, show: Show
) -> Outcome:
    show.waiting(f"booting {board.name}")
    started = time.monotonic()
    with Agent(board, given, show.event) as agent:
        took = time.monotonic() - started
        ours, theirs = given.board["network"], given.peers["gateway"]
        show.opening(
            [
                ("agent", f"{board.title}, {board.heap // 1024} KB heap, started in {took:.1f} s"),
                ("", f"initiator {ours['bind']} port {ours['port']}"),
                ("peer", _PEERS[kind]),
                ("", f"responder {theirs['address']} port {theirs['port']}"),
            ]
        )
        show.waiting("negotiating")
        outcome = agent.bring_up("gateway", timeout)
        if outcome.established:
            _confirm(outcome, peer)
        return outcome


def _confirm(outcome: Outcome, peer: Peer) -> None:
    """It is established only if the gateway says so too, of the same SA."""
    theirs = peer.wait(5)
    ours = outcome.cookies or {}
    if not theirs.established:
        outcome.established = False
        outcome.reason = f"the peer does not call it established: {theirs.reason}"
    elif (theirs.initiator_cookie, theirs.responder_cookie, theirs.suite) != (
        ours.get("initiator"),
        ours.get("responder"),
        outcome.suite,
    ):
        outcome.established = False
        outcome.reason = "the peer established another SA than the agent"
