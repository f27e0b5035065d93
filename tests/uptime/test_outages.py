"""Dead peers, restarts and renewal, with charon over a cable of its own."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ikelet.peers.netns import NetnsPair
from ikelet.peers.strongswan import StrongswanPeer
from uptime.lab import Branch, charon, configuration, until, up


@pytest.fixture(autouse=True)
def _needs(require: Callable[[str], None]) -> None:
    for capability in ("root", "netns", "strongswan", "micropython"):
        require(capability)


@pytest.mark.timeout(120)
def test_charon_dies(tmp_path: Path) -> None:
    """Killed, it says nothing; one that knows nothing takes its place. The agent finds out by
    asking, keeps the reason, and brings up a new SA."""
    with NetnsPair() as pair:
        ours, theirs = pair.addresses
        given = configuration(ours, theirs, dpd=1)
        with Branch(pair.names[0], given, tmp_path) as branch:
            with charon(pair.names[1], theirs, ours) as gateway:
                until(branch.is_up, 20)
                first = branch.peer()["cookies"]
                os.kill(gateway.pid, signal.SIGKILL)
            with charon(pair.names[1], theirs, ours) as gateway:
                until(lambda: branch.told("deleted", by="dead-peer", cookies=first), 45)
                until(lambda: branch.is_up() and up(gateway), 20)
                assert branch.peer()["cookies"] != first


@pytest.mark.timeout(120)
def test_the_agent_dies(tmp_path: Path) -> None:
    """charon finds out by asking; the agent, back again, calls by itself."""
    with NetnsPair() as pair:
        ours, theirs = pair.addresses
        given = configuration(ours, theirs)
        with (
            charon(pair.names[1], theirs, ours, dpd_delay="1s") as gateway,
            Branch(pair.names[0], given, tmp_path) as branch,
        ):
            until(branch.is_up, 20)
            branch.pull_the_plug()
            until(lambda: not gateway.list_sas(), 30)
            branch.power_cycle()
            until(lambda: branch.is_up() and up(gateway), 20)
            # Again, and back before charon misses it: the agent's first contact ends the old SA.
            (old,) = up(gateway)
            branch.power_cycle()
            until(branch.is_up, 20)
            (new,) = until(lambda: up(gateway), 5)
            assert new["initiator-spi"] != old["initiator-spi"]


@pytest.mark.timeout(120)
def test_the_cable_is_out_for_a_while(tmp_path: Path) -> None:
    """Nothing can be sent meanwhile. Both find out by asking; the agent calls until it gets
    through, and keeps the reason."""
    with NetnsPair() as pair:
        ours, theirs = pair.addresses
        given = configuration(ours, theirs, dpd=1)
        with (
            charon(pair.names[1], theirs, ours, dpd_delay="1s") as gateway,
            Branch(pair.names[0], given, tmp_path) as branch,
        ):
            until(lambda: branch.is_up() and up(gateway), 20)
            first = branch.peer()["cookies"]
            pair.plug(0, False)
            until(lambda: branch.told("deleted", by="dead-peer", cookies=first), 45)
            assert branch.peer()["last_down"]["by"] == "dead-peer"
            until(lambda: not up(gateway), 30)
            pair.plug(0, True)
            until(lambda: branch.is_up() and common(branch, gateway), 40)
            assert branch.peer()["cookies"] != first
            assert branch.agent.status()["send_failures"] > 0


def test_charon_begins_anew(tmp_path: Path) -> None:
    """Its first contact ends what the agent still has."""
    with NetnsPair() as pair:
        ours, theirs = pair.addresses
        given = configuration(ours, theirs, role="responder")
        with Branch(pair.names[0], given, tmp_path) as branch:
            for _ in range(2):
                with charon(
                    pair.names[1], theirs, ours, "initiator", remote_id=ours, unique="replace"
                ) as gateway:
                    gateway.initiate()
                    assert gateway.wait(20).established
                    until(branch.is_up, 5)
                    os.kill(gateway.pid, signal.SIGKILL)
            assert len(branch.told("established")) == 2
            assert len(branch.told("deleted", by="initial-contact")) == 1


def watch(branch: Branch, gateway: StrongswanPeer, seconds: float) -> None:
    """See to it that both sides have an SA all the time; a moment's delay between the two is no
    gap."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert branch.is_up()
        assert until(lambda: common(branch, gateway), 2)
        time.sleep(0.2)


def common(branch: Branch, gateway: StrongswanPeer) -> list[dict[str, Any]]:
    """charon's SAs that the agent has too."""
    cookies = branch.peer()["cookies"]
    return [sa for sa in up(gateway) if sa["initiator-spi"] == cookies["initiator"]]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("who", ["agent", "charon"])
def test_renewal(tmp_path: Path, who: str) -> None:
    """charon calls, and asks for 10 s: whoever renews makes the new SA before they are over, and
    deletes the old one; neither side is ever without."""
    with NetnsPair() as pair:
        ours, theirs = pair.addresses
        given = configuration(ours, theirs, role="both" if who == "agent" else "responder")
        when = {"rekey_time": "10s"} if who == "agent" else {"rekey_time": "4s", "over_time": "6s"}
        with (
            Branch(pair.names[0], given, tmp_path, calls=False) as branch,
            charon(pair.names[1], theirs, ours, "initiator", **when) as gateway,
        ):
            gateway.initiate()
            assert gateway.wait(20).established
            until(branch.is_up, 5)
            watch(branch, gateway, 12)
            first, second = branch.told("established")[:2]
            assert first["lifetime"] == 10
            assert second["t_ms"] < first["t_ms"] + 10000
            assert second["role"] == ("initiator" if who == "agent" else "responder")
            by = "replaced" if who == "agent" else "lifetime"
            (ended,) = until(lambda: branch.told("deleted", cookies=first["cookies"]), 5)
            assert ended["by"] == by and ended["t_ms"] >= second["t_ms"]
            gone = first["cookies"]["initiator"]
            until(lambda: gone not in [sa["initiator-spi"] for sa in gateway.list_sas()], 5)


def test_a_lifetime_in_kilobytes_beside_that_in_seconds(tmp_path: Path) -> None:
    """charon answers an offer of both without the kilobytes: no reason to do without it."""
    with NetnsPair() as pair:
        ours, theirs = pair.addresses
        given = configuration(ours, theirs, lifetime_kb=64, lifetime=3600)
        with (
            charon(pair.names[1], theirs, ours) as gateway,
            Branch(pair.names[0], given, tmp_path) as branch,
        ):
            until(lambda: branch.is_up() and up(gateway), 20)
            assert branch.told("established", lifetime=3600)


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_both_initiate_at_once(tmp_path: Path) -> None:
    """charon finds the agent's first message when it has just sent its own: one SA remains."""
    with NetnsPair() as pair:
        ours, theirs = pair.addresses
        given = configuration(ours, theirs, role="both")
        with (
            Branch(pair.names[0], given, tmp_path, calls=False) as branch,
            charon(
                pair.names[1], theirs, ours, "initiator", settings={"reuse_ikesa": "no"}
            ) as gateway,
        ):
            os.kill(gateway.pid, signal.SIGSTOP)
            try:
                branch.agent.call("up", {"peer": "gw"})
                asking = threading.Thread(target=gateway.initiate)
                asking.start()
                time.sleep(0.3)
            finally:
                os.kill(gateway.pid, signal.SIGCONT)
            asking.join()
            until(branch.is_up, 10)
            log = "\n".join(gateway.log)
            assert "10.9.0.1 is initiating a Main Mode" in log, log
            assert "initiating Main Mode IKE_SA agent" in log, log
            # What the peer should delete and does not goes after 30 s.
            until(lambda: len(gateway.list_sas()) == 1 and len(common(branch, gateway)) == 1, 60)
            watch(branch, gateway, 2)
            assert len(gateway.list_sas()) == 1
