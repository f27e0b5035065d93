"""Two peers joined over loopback, and what they share."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ikelet.peers import Peer, PeerConfig, make_peer
from peers.peer_pair import PSK, Join


@pytest.fixture
def join() -> Iterator[Join]:
    """join(initiator_kind, responder_kind, proposals) -> (initiator, responder), both started.

    `initiator` and `responder` are dicts of PeerConfig fields for one side only, and
    `initiator_options`, `responder_options` go to that kind of peer.
    """
    with ExitStack() as stack:

        def start(
            initiator_kind: str = "builtin",
            responder_kind: str = "builtin",
            proposals: list[str] | None = None,
            initiator: dict | None = None,
            responder: dict | None = None,
            initiator_options: dict | None = None,
            responder_options: dict | None = None,
        ) -> tuple[Peer, Peer]:
            common = {
                "psk": PSK,
                "remote_id": "127.0.0.1",
                "proposals": proposals or ["aes128-sha256-modp1024"],
            }
            config = PeerConfig(**common | (responder or {}))
            second = make_peer(responder_kind, config, **(responder_options or {}))
            stack.enter_context(second)
            values = common | {"role": "initiator", "remote": second.address} | (initiator or {})
            first = make_peer(initiator_kind, PeerConfig(**values), **(initiator_options or {}))
            stack.enter_context(first)
            return first, second

        yield start
