"""A flood of first messages from ten thousand addresses, and honest peers in the middle of it.

The agent on `unix` and charon, each in a namespace of its own at the end of a cable; at the other
end the flood, and an honest initiator from the address that both are configured for. What is
answered is counted on the cable.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hostile import cable
from ikelet.peers import PeerConfig
from ikelet.peers.builtin import BuiltinPeer
from ikelet.peers.netns import NetnsPair
from uptime.lab import PSK, SUITE, Branch, charon, configuration

FLOOD = Path(__file__).with_name("flood.py")
RATE, SOURCES = 2000, 10_000
NETWORK = "10.64.0.0"
_PACE = 0.5  # seconds from one honest handshake to the next
_PATIENCE = 10.0
_HALF_OPEN = 35.0  # seconds until whatever was begun has ended by its timer
_EVERY_TENTH = 10
_FLAT = 1024  # bytes
_ONE_EXCHANGE = 8192  # bytes that one may hold at most, which nobody went on with


@dataclass
class Told:
    """What came of a flood: a column of the table."""

    name: str
    flood: dict[str, Any]
    times: list[float] = field(default_factory=list)  # of honest handshakes that succeeded, in s
    tried: int = 0
    cpu: float = 0.0  # seconds, of the gateway
    memory: tuple[int, int] = (0, 0)  # bytes before and after
    memory_is: str = ""
    drops: dict[str, int] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        flood, times = self.flood, sorted(self.times) or [float("nan")]
        share = 100 * len(self.times) / self.tried
        factor = flood["bytes_out"] / flood["bytes_in"]
        return [
            ("first messages a second", f"{flood['sent'] / flood['seconds']:,.0f}"),
            ("honest handshakes", f"{len(self.times)} of {self.tried}"),
            ("succeeded", f"{share:.1f} %"),
            ("time, median", f"{times[len(times) // 2] * 1000:.0f} ms"),
            ("time, longest", f"{times[-1] * 1000:.0f} ms"),
            ("bytes in, flood", f"{flood['bytes_in']:,}"),
            ("answers to it", f"{flood['answers']:,}"),
            ("bytes out, flood", f"{flood['bytes_out']:,}"),
            ("bytes out / in", f"{factor:.3f}"),
            ("processor", f"{100 * self.cpu / flood['seconds']:.0f} %"),
            (self.memory_is, f"{self.memory[0]:,} -> {self.memory[1]:,}"),
        ]


@pytest.fixture
def lines(require: Callable[[str], None]) -> Iterator[NetnsPair]:
    for capability in ("root", "netns", "strongswan", "micropython"):
        require(capability)
    with NetnsPair() as pair:
        back = ("route", "add", f"{NETWORK}/16", "via", pair.addresses[1])
        subprocess.run(["ip", "-n", pair.names[0], *back], check=True)
        yield pair


@pytest.mark.timeout(150)
def test_a_short_flood(lines: NetnsPair, tmp_path: Path) -> None:
    check(agent_under(lines, tmp_path, 5), _ONE_EXCHANGE)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("named", [SOURCES, _EVERY_TENTH])
def test_a_minute_of_flood_beside_charon(lines: NetnsPair, tmp_path: Path, named: int) -> None:
    """Every `named`-th message comes in the name of the honest peer."""
    ours = agent_under(lines, tmp_path, 60, named, _HALF_OPEN)
    theirs = charon_under(lines, 60, named)
    show(ours, theirs)
    check(ours, _FLAT)


def check(told: Told, growth: int) -> None:
    flood = told.flood
    assert flood["lost"] == 0, "frames were not counted"
    assert flood["sent"] >= 0.9 * RATE * flood["seconds"], "the flood was too slow"
    assert told.tried >= 5 and len(told.times) >= 0.95 * told.tried, told
    assert flood["bytes_out"] <= flood["bytes_in"], flood
    # It did arrive; what is missing is what the agent's socket had no room for.
    assert sum(told.drops.values()) > 0.1 * flood["sent"], told.drops
    assert told.memory[1] - told.memory[0] <= growth, told.memory


def show(*columns: Told) -> None:
    print(f"\n{'':26}" + "".join(f"{told.name:>24}" for told in columns))
    for rows in zip(*(told.rows() for told in columns), strict=True):
        names = {name for name, _ in rows}
        for name in sorted(names, key=[name for name, _ in rows].index):
            values = [value if each == name else "" for each, value in rows]
            print(f"{name:26}" + "".join(f"{value:>24}" for value in values))


def agent_under(
    lines: NetnsPair, folder: Path, seconds: float, named: int = SOURCES, rest: float = 0
) -> Told:
    """`rest`: seconds to wait before the heap is looked at. Then there is a short flood before:
    what the agent remembers of one, it remembers from then on."""
    ours, theirs = lines.addresses
    given = configuration(ours, theirs, natt=False, role="responder")
    with Branch(lines.names[0], given, folder, calls=False) as branch, honest(lines) as peer:
        for _ in range(4):  # modules are loaded, and stay
            handshake(peer)
        if rest:
            under(lines, peer, "", 5, _EVERY_TENTH, branch.agent.running.pid)
            branch.agent.call("down", {"peer": "gw"})
            time.sleep(rest)
        before = branch.agent.status()
        told = under(lines, peer, "ikelet on unix", seconds, named, branch.agent.running.pid)
        branch.agent.call("down", {"peer": "gw"})  # a delete may have been lost in the flood
        time.sleep(rest)
        after = branch.agent.status()
        told.memory = before["heap"]["used"], after["heap"]["used"]
        told.memory_is = "heap in use"
        told.drops = {
            reason: count - before["drops"].get(reason, 0)
            for reason, count in after["drops"].items()
        }
    return told


def charon_under(lines: NetnsPair, seconds: float, named: int = SOURCES) -> Told:
    ours, theirs = lines.addresses
    with charon(lines.names[0], ours, theirs) as gateway, honest(lines) as peer:
        handshake(peer)
        before = resident(gateway.pid)
        told = under(lines, peer, "charon", seconds, named, gateway.pid)
        told.memory = before, resident(gateway.pid)
        told.memory_is = "resident memory"
    return told


def under(
    lines: NetnsPair, peer: BuiltinPeer, name: str, seconds: float, named: int, pid: int
) -> Told:
    """Handshakes of an honest peer while it is flooded."""
    order = {
        "mac": cable.mac(lines.names[0]).hex(),
        "target": lines.addresses[0],
        "peer": lines.addresses[1],
        "seconds": seconds,
        "rate": RATE,
        "sources": SOURCES,
        "named": named,
        "network": NETWORK,
    }
    began = processor(pid)
    told = Told(name, {})
    command = lines.command(1, [sys.executable, str(FLOOD), json.dumps(order)])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as flood:
        time.sleep(0.5)
        while flood.poll() is None:
            at = time.monotonic()
            told.tried += 1
            if handshake(peer):
                told.times.append(time.monotonic() - at)
            time.sleep(max(0.0, at + _PACE - time.monotonic()))
        assert flood.returncode == 0 and flood.stdout
        told.flood = json.loads(flood.stdout.read())
    told.cpu = processor(pid) - began
    return told


@contextmanager
def honest(lines: NetnsPair) -> Iterator[BuiltinPeer]:
    ours, theirs = lines.addresses
    given = PeerConfig(
        role="initiator",
        psk=PSK.encode(),
        local=(theirs, 500),
        remote=(ours, 500),
        local_id=theirs,
        remote_id=ours,
        proposals=[SUITE],
        retransmit=(0.5,) * int(2 * _PATIENCE),
    )
    peer = BuiltinPeer(given, forgiving=True)
    with ExitStack() as ending:
        with cable.inside(lines.names[1]):
            ending.enter_context(peer)
        yield peer


def handshake(peer: BuiltinPeer) -> bool:
    peer.initiate()
    if not peer.wait(_PATIENCE).established:
        return False
    peer.delete()
    return True


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
