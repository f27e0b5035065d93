"""Several gateways: names that move, backups."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ikelet.peers.netns import NetnsNat
from uptime.lab import Branch, charon, configuration, hosts, until, up


@pytest.fixture(autouse=True)
def _needs(require: Callable[[str], None]) -> None:
    for capability in ("root", "netns", "nat", "strongswan", "micropython"):
        require(capability)


@pytest.mark.timeout(180)
def test_a_gateway_dies_and_comes_back_elsewhere(tmp_path: Path) -> None:
    """Its backup stands in; its name is asked for anew; the backup goes when it is up again."""
    # Only the router between them is of use here: who is inside reaches the others as they are.
    with NetnsNat(inside=4) as net:
        branch_at, first, second, spare = net.inside_addresses
        given = configuration(branch_at, "gw.example", dpd=4, backup="spare")
        given["peer"]["spare"] = given["peer"]["gw"] | {"address": spare}
        del given["peer"]["spare"]["backup"]
        with (
            hosts(net.inside[0], gw=first) as change,
            charon(net.inside[3], spare, branch_at) as backup,
            Branch(net.inside[0], given, tmp_path) as branch,
        ):
            with charon(net.inside[1], first, branch_at) as gateway:
                until(branch.is_up, 20)
                assert branch.peer()["remote"] == [first, 500]
                assert branch.peer("spare")["state"] == "DOWN" and not backup.list_sas()
                os.kill(gateway.pid, signal.SIGKILL)
            change("gw", second)
            until(lambda: branch.is_up("spare"), 60)
            assert up(backup)
            with charon(net.inside[2], second, branch_at):
                until(branch.is_up, 60)
                assert branch.peer()["remote"] == [second, 500]
                until(lambda: branch.peer("spare")["state"] == "DOWN", 70)  # it is up to stay
                until(lambda: not backup.list_sas(), 5)
                assert branch.told("deleted", peer="spare", by="us")
                assert branch.peer("gw")["state"] == "ESTABLISHED"
