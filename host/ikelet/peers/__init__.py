"""Peer gateways for the agent to talk to: our own, and real ones.

with make_peer("builtin", PeerConfig(psk=b"...", remote=("127.0.0.1", 0))) as peer:
    print(peer.address)
    result = peer.wait(30)
"""

from __future__ import annotations

from typing import Any

from .base import (
    Address,
    Credentials,
    Datagram,
    Peer,
    PeerConfig,
    PeerError,
    PeerEvent,
    PeerResult,
    PeerUnavailableError,
)

KINDS = ("builtin", "strongswan")

__all__ = [
    "KINDS",
    "Address",
    "Credentials",
    "Datagram",
    "Peer",
    "PeerConfig",
    "PeerError",
    "PeerEvent",
    "PeerResult",
    "PeerUnavailableError",
    "make_peer",
]


def make_peer(kind: str, config: PeerConfig, **options: Any) -> Peer:
    """A peer of one of KINDS; `options` are that kind's own.

    The kinds are imported only when asked for: scapy alone takes a second.
    """
    if kind == "builtin":
        from .builtin import BuiltinPeer

        return BuiltinPeer(config, **options)
    if kind == "strongswan":
        from .strongswan import StrongswanPeer

        return StrongswanPeer(config, **options)
    raise PeerError(f'no peer is called "{kind}"; there are {", ".join(KINDS)}')
