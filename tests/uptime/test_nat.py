"""NAT traversal through a real NAT, with charon, from either side of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ikelet.peers.netns import NetnsNat
from uptime.lab import Branch, charon, configuration, until, up

MOVED = 20000  # the outside ports of mappings that changed begin here


@pytest.fixture(autouse=True)
def _needs(require: Callable[[str], None]) -> None:
    for capability in ("root", "netns", "nat", "strongswan", "micropython"):
        require(capability)


def moved(sa: dict[str, Any]) -> bool:
    return int(sa["remote-port"]) >= MOVED


@pytest.mark.timeout(120)
def test_an_agent_behind_the_nat(tmp_path: Path) -> None:
    """Up on port 4500; a mapping that changes is found again; keepalives keep it."""
    with NetnsNat() as nat, charon(nat.outside, nat.outside_address, None) as gateway:
        given = configuration(nat.inside_addresses[0], nat.outside_address, dpd=2)
        with Branch(nat.inside[0], given, tmp_path) as branch:
            until(branch.is_up, 20)
            (sa,) = up(gateway)
            assert sa["remote-host"] == nat.address
            assert sa["remote-port"] == sa["local-port"] == "4500"
            assert sa["nat-remote"] == "yes" and "nat-local" not in sa
            assert branch.peer()["nat"] == ["us"]
            assert branch.peer()["remote"] == [nat.outside_address, 4500]
            nat.change_mappings(f"{MOVED}-{MOVED + 9}")
            until(lambda: [sa for sa in up(gateway) if moved(sa)], 20)
            until(nat.keepalives, 40)
            assert branch.is_up()
            assert not branch.told("deleted")
            assert branch.peer()["cookies"]["initiator"] == sa["initiator-spi"]


@pytest.mark.timeout(120)
def test_charon_behind_the_nat(tmp_path: Path) -> None:
    """The agent waits outside; when the mapping changes it follows, once charon has asked for a
    sign of life under the SA's protection."""
    with NetnsNat() as nat:
        inside = nat.inside_addresses[0]
        given = configuration(
            nat.outside_address, nat.address, role="responder", remote_id=inside, dpd=300
        )
        with (
            Branch(nat.outside, given, tmp_path) as branch,
            charon(
                nat.inside[0], inside, nat.outside_address, "initiator", dpd_delay="2s"
            ) as gateway,
        ):
            gateway.initiate()
            assert gateway.wait(20).established
            until(branch.is_up, 5)
            assert branch.peer()["nat"] == ["peer"]
            assert branch.peer()["remote"] == [nat.address, 4500]
            nat.change_mappings(f"{MOVED}-{MOVED + 9}")
            until(lambda: branch.peer()["remote"][1] >= MOVED, 20)
            assert branch.peer()["remote"][0] == nat.address
            # charon got the answer through the new mapping: it goes on being content.
            asked = len(messages(gateway, "in"))
            until(lambda: len(messages(gateway, "in")) > asked, 20)
            assert up(gateway) and branch.is_up() and not branch.told("deleted")


def messages(gateway: Any, direction: str) -> list[Any]:
    """charon's informational messages."""
    return [e for e in list(gateway.events) if e.number == 0 and e.direction == direction]


def test_an_agent_that_the_nat_forwards_to(tmp_path: Path) -> None:
    """charon, outside, calls the NAT's address."""
    with NetnsNat(forward=0) as nat:
        inside = nat.inside_addresses[0]
        given = configuration(inside, nat.outside_address, role="responder")
        with (
            Branch(nat.inside[0], given, tmp_path) as branch,
            charon(
                nat.outside, nat.outside_address, nat.address, "initiator", remote_id=inside
            ) as gateway,
        ):
            gateway.initiate()
            assert gateway.wait(20).established
            until(branch.is_up, 5)
            assert branch.peer()["nat"] == ["us"]
            assert branch.peer()["remote"] == [nat.outside_address, 4500]
            gateway.delete()
            until(lambda: branch.told("deleted", by="peer"), 5)


def test_two_agents_behind_one_nat(tmp_path: Path) -> None:
    """Both from port 500, then 4500, which the NAT cannot give to both outside."""
    with NetnsNat(inside=2) as nat, charon(nat.outside, nat.outside_address, None) as gateway:
        first, second = (
            Branch(name, configuration(address, nat.outside_address, dpd=1), tmp_path)
            for name, address in zip(nat.inside, nat.inside_addresses, strict=True)
        )
        with first, second:
            for branch in (first, second):
                until(branch.is_up, 20)
            sas = up(gateway)
            assert {sa["remote-id"] for sa in sas} == set(nat.inside_addresses)
            assert {sa["remote-host"] for sa in sas} == {nat.address}
            assert len({sa["remote-port"] for sa in sas}) == 2
            for branch in (first, second):  # each answers under its own SA
                answered = len(messages(gateway, "out"))
                until(lambda n=answered: len(messages(gateway, "out")) > n + 1, 20)
                assert branch.is_up() and not branch.told("deleted")
