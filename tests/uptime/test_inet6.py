"""Main Mode over IPv6 with charon, both roles."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ikelet.peers.netns import NetnsPair
from uptime.lab import Branch, charon, configuration, until, up

# Two spellings of one address: what is configured is not what the network says.
OURS, THEIRS = "fd00:9::2", "fd00:9::1"
SPELLED = "FD00:0009:0:0::0001"


@pytest.fixture(autouse=True)
def _needs(require: Callable[[str], None]) -> None:
    for capability in ("root", "netns", "ipv6", "strongswan", "micropython"):
        require(capability)


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_main_mode(tmp_path: Path, role: str) -> None:
    with NetnsPair((OURS, THEIRS), 64) as pair:
        other = {"initiator": "responder", "responder": "initiator"}[role]
        with (
            charon(pair.names[1], THEIRS, OURS, other, remote_id=OURS) as gateway,
            Branch(
                pair.names[0], configuration(OURS, SPELLED, role=role, dpd=1), tmp_path
            ) as branch,
        ):
            if role == "responder":
                gateway.initiate()
            until(branch.is_up, 20)
            (sa,) = until(lambda: up(gateway), 5)
            assert sa["remote-host"] == sa["remote-id"] == OURS
            assert sa["local-id"] == THEIRS
            # The digests of NAT-D over 16 bytes agree: nobody moved to port 4500.
            assert sa["remote-port"] == "500" and "nat" not in branch.peer()
            assert branch.peer()["remote"] == [THEIRS, 500]
            seen = len(gateway.events)
            until(lambda: len(gateway.events) >= seen + 4, 10)  # two questions, two answers
            assert branch.is_up()
            gateway.delete()
            until(lambda: branch.told("deleted", by="peer"), 5)
