"""The harness's own fixtures: agent, gateway and wire as a test asks for them by name."""

import pytest

from ikelet.agent import Agent
from ikelet.peers import Peer
from ikelet_hil.passage import Passage
from ikelet_hil.rules import At, drop
from ikelet_hil.wire import TO_AGENT, TO_PEER, Wire


def test_a_lost_message(agent: Agent, peer: Peer, wire: Wire, capture: list[Passage]) -> None:
    """As docs/hil.md has it."""
    wire.add(drop(At(2)))
    outcome = agent.bring_up("gw", 30 * agent.board.slowness)
    assert outcome.established, outcome.reason
    assert peer.wait(5 * agent.board.slowness).established
    lost = [passage for passage in capture if passage.fate == "dropped"]
    assert [(passage.number, passage.direction) for passage in lost] == [(2, TO_AGENT)]


@pytest.mark.negotiation("strongswan", "responder", suite="aes128-sha384-modp2048")
def test_another_negotiation(agent: Agent, peer: Peer, capture: list[Passage]) -> None:
    peer.initiate()
    outcome = agent.bring_up("gw", 30 * agent.board.slowness)
    assert outcome.established, outcome.reason
    assert (outcome.role, outcome.suite) == ("responder", "aes128-sha384-modp2048")
    assert (capture[0].number, capture[0].direction) == (1, TO_AGENT)
    assert (capture[1].number, capture[1].direction) == (2, TO_PEER)
