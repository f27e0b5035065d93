"""Ten thousand real handshakes of the agent on `unix` with charon: its heap stays as it is."""

import time
from pathlib import Path

import pytest

from ikelet.peers.netns import NetnsPair
from uptime.lab import Branch, charon, configuration, until, up

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

HANDSHAKES, WARM, EVERY = 5000, 50, 250
FLAT = 1024  # bytes


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_ten_thousand_handshakes(namespaces: NetnsPair, tmp_path: Path, role: str) -> None:
    """Half of them in each role."""
    ours, theirs = namespaces.addresses
    given = configuration(ours, theirs, natt=False, role=role)
    other = "responder" if role == "initiator" else "initiator"
    used = []
    began = time.monotonic()
    with (
        charon(namespaces.names[1], theirs, ours, other) as gateway,
        Branch(namespaces.names[0], given, tmp_path, calls=False) as branch,
    ):
        for number in range(1, HANDSHAKES + 1):
            if role == "responder":  # charon does nothing while it has an SA
                until(lambda: not gateway.list_sas(), 10)
                gateway.initiate()
            outcome = branch.agent.bring_up("gw", 30)
            assert outcome.established, f"{number}: {outcome.reason}"
            if role == "responder":  # else charon may see the delete before message 6
                until(lambda: up(gateway), 10)
            branch.agent.call("down", {"peer": "gw"})
            if number >= WARM and not number % EVERY:
                until(lambda: not up(gateway), 10)
                used.append(settled(branch))
            branch.events.clear()
            gateway.events.clear()
            gateway.log.clear()
    took = time.monotonic() - began
    print(f"{role}: {HANDSHAKES} handshakes in {took:.0f} s, heap in use {used}")
    assert max(used) - min(used) <= FLAT, used


def settled(branch: Branch) -> int:
    """The heap in use once the agent has made its next key pair, and nothing else is to do."""
    time.sleep(1)
    return min(int(branch.agent.status()["heap"]["used"]) for _ in range(3))
