"""`ikelet demo`: an agent and a peer gateway on this machine, brought up with one another."""

import contextlib
import random
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from ikelet import config, credentials, peers, pki, psk
from ikelet.agent import Agent, Outcome
from ikelet.boards import Board
from ikelet.config import Config
from ikelet.errors import IkeletError, MisuseError
from ikelet.peers import Credentials, Peer, PeerConfig
from ikelet.pki import Identity
from ikelet.show import Show

LOOPBACK = "127.0.0.1"
AGENT, GATEWAY = "branch.example", "gw.example"
_PEERS = {
    "builtin": "built-in gateway (scapy and pyca/cryptography)",
    "strongswan": "strongSwan's charon",
}
_GROUP14 = ["aes256-sha256-modp2048", "aes128-sha256-modp2048"]
# How both sides authenticate: the kind of their keys (None: a pre-shared one), the proposals.
AUTHS: dict[str, tuple[str | None, list[str]]] = {
    "psk": (None, _GROUP14),
    "rsa": ("rsa2048", _GROUP14),
    "ecdsa": ("ecdsa256", ["aes256-sha256-ecp256", "aes256-sha256-curve25519"]),
}


@dataclass
class _Setup:
    """Settings of both sides, with secrets that are made for one run."""

    agent: dict[str, Any]
    peer: dict[str, Any]
    sections: dict[str, Any] = field(default_factory=dict)  # more of the agent's configuration


def run(board: Board, kind: str, auth: str, timeout: float, show: Show) -> Outcome:
    """Bring phase 1 up on the loopback interface; `auth` is one of AUTHS."""
    setup, port = _setup(auth), free_port()
    settings = PeerConfig(
        role="responder", local=(LOOPBACK, 0), remote=(LOOPBACK, port), **setup.peer
    )
    try:
        show.waiting(f"starting {_PEERS[kind]}")
        with peers.make_peer(kind, settings) as peer:
            given = _configuration(setup, port, peer.address)
            return _negotiate(board, peer, kind, given, timeout, show)
    except peers.PeerUnavailableError as error:
        raise MisuseError(f"--peer {kind}: {error}") from error
    except peers.PeerError as error:
        raise IkeletError(f"{kind} peer: {error}") from error


def free_port() -> int:
    """A UDP port of the loopback interface that nobody uses just now. It is none of those that the
    kernel hands out: somebody else would soon be given it, before it is taken."""
    while True:
        port = random.randrange(16384, 32768)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
            contextlib.suppress(OSError),
        ):
            probe.bind((LOOPBACK, port))
            return port


def _setup(auth: str) -> _Setup:
    kind, proposals = AUTHS[auth]
    common = {"proposals": proposals}
    if kind is None:
        key = psk.generate()
        names = {"local_id": LOOPBACK, "remote_id": LOOPBACK}
        return _Setup(common | {"psk": key}, common | names | {"psk": psk.decoded(key)})
    valid = pki.Validity(days=1)
    root = pki.make_ca(pki.name("O=Demo, CN=Root"), pki.new_key("ecdsa256"), valid)
    ours, theirs = (
        pki.make_device(pki.name(f"O=Demo, CN={owner}"), pki.new_key(kind), valid, root, [owner])
        for owner in (AGENT, GATEWAY)
    )
    anchors = [root.certificate]
    return _Setup(
        common | {"auth": "cert", "local_id": AGENT, "remote_id": GATEWAY},
        common
        | {"credentials": _credentials(theirs, root), "local_id": GATEWAY, "remote_id": AGENT},
        {"certificate": credentials.encoded(ours.key, [ours.certificate], anchors)},
    )


def _credentials(own: Identity, root: Identity) -> Credentials:
    chain, anchors = ((one.certificate.public_bytes(Encoding.DER),) for one in (own, root))
    return Credentials(credentials.pkcs8(own.key), chain, anchors)


def _configuration(setup: _Setup, port: int, peer: tuple[str, int]) -> Config:
    """An agent on loopback port `port`, the initiator towards `peer`."""
    gateway = {"address": peer[0], "port": peer[1], "retransmit": "fast"}
    return config.check(
        {
            "device": {"name": "demo"},
            "network": {"bind": LOOPBACK, "port": port},
            "peer": {"gateway": gateway | setup.agent},
            **setup.sections,
        }
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
            given.peers["gateway"]["auth"],
            [
                ("agent", f"{board.title}, {board.heap // 1024} KB heap, started in {took:.1f} s"),
                ("", f"initiator {ours['bind']} port {ours['port']}"),
                ("peer", _PEERS[kind]),
                ("", f"responder {theirs['address']} port {theirs['port']}"),
            ],
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
