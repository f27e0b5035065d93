"""Somebody on the cable between the agent on `unix` and charon, who sees all and sends anything.

Packets in the clear and corrupt ones, from the peer's address and port, at random moments of real
exchanges. He uses the tricks of tests/attacker.py; what he sends is not read back.
"""

import random
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from attacker import Attacker, Dice
from hostile import cable
from ike import wire
from ikelet.peers.netns import NetnsPair
from ikelet.peers.strongswan import StrongswanPeer
from malformed import changed
from uptime.lab import SUITE, Branch, charon, configuration, until, up

PORT, KE = 500, 4
_HIS_MAC = bytes.fromhex("0200000000aa")
_WINDOW = 1.0  # seconds in which he sends, from the first message on
_PATIENCE = 30.0


class Intruder:
    """On the cable: `towards` says to which sides he sends, "i", "r" or both. `role` is the
    agent's, in namespace 0; charon is in namespace 1."""

    def __init__(self, namespaces: NetnsPair, seed: int, role: str, towards: str) -> None:
        self.sent: Counter[str] = Counter()
        self._role, self._towards, self._dice = role, towards, Dice(seed + 1)
        self._agent = role[0]
        self._addresses = namespaces.addresses
        self._macs = [cable.mac(name) for name in namespaces.names]
        self._ends = []
        for name in namespaces.names:
            with cable.inside(name):
                self._ends.append(cable.End(both=True))
        self.forget()

    def forget(self) -> None:
        """Another exchange begins."""
        self.look()
        self.attacker = Attacker(self._dice, SUITE)

    def look(self) -> None:
        """See what has passed at the agent's end."""
        for left, frame in self._ends[0].frames():
            if frame[6:12] == _HIS_MAC or not (found := cable.parse(frame)):
                continue
            charons = "r" if self._agent == "i" else "i"
            self.attacker_saw(self._agent if left else charons, found[2])

    def attacker_saw(self, side: str, datagram: bytes) -> None:
        if hasattr(self, "attacker") and len(datagram) >= wire.HEADER:
            self.attacker.saw(side, datagram)

    def one(self) -> bool:
        """Send one packet; False where he has seen nothing yet."""
        self.look()
        if not self.attacker.seen:
            return False
        while True:
            side, datagram = self.attacker.packet()
            if side in self._towards:
                self.put(side, bytes(datagram))
                return True

    def put(self, side: str, datagram: bytes) -> None:
        """Send a datagram to a side, from the other's address and port."""
        to = 0 if side == self._agent else 1
        source, destination = self._addresses[1 - to], self._addresses[to]
        ends = (source, PORT), (destination, PORT)
        frame = cable.udp((self._macs[to], _HIS_MAC), *ends, datagram)
        self._ends[1 - to].send(frame)
        self.sent[side] += 1

    def close(self) -> None:
        for end in self._ends:
            end.close()


@dataclass
class Lab:
    branch: Branch
    gateway: StrongswanPeer
    intruder: Intruder
    dice: random.Random = field(default_factory=lambda: random.Random(2409))

    def begin(self) -> None:
        self.intruder.forget()
        if self.intruder._role == "initiator":
            self.branch.agent.call("up", {"peer": "gw"})
        else:
            self.gateway.initiate()

    def beside(self, packets: int, window: float) -> None:
        """An exchange, and packets at random moments beside it."""
        moments = sorted(self.dice.uniform(0, window) for _ in range(packets))
        self.begin()
        began = time.monotonic()
        for moment in moments:
            while time.monotonic() - began < moment:
                self.intruder.look()
            while not self.intruder.one():
                time.sleep(0.001)

    def third(self) -> bytes | None:
        """The agent's message 3, once it has passed."""
        self.intruder.look()
        own = [data for side, data in self.intruder.attacker.seen if side == "i"]
        return next((data for data in own if data[16] == KE and any(data[8:16])), None)

    def common(self) -> bool:
        """Whether both sides have an SA, one and the same."""
        ours = self.branch.peer()
        if ours["state"] != "ESTABLISHED":
            return False
        theirs = [(sa["initiator-spi"], sa["responder-spi"]) for sa in up(self.gateway)]
        return (ours["cookies"]["initiator"], ours["cookies"]["responder"]) in theirs

    def take_down(self) -> None:
        """By the agent's delete, which charon must understand."""
        self.branch.agent.call("down", {"peer": "gw"})
        try:
            until(lambda: not up(self.gateway), 5, "charon did not understand the delete")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.branch.agent.status()}") from error


def lab(
    namespaces: NetnsPair,
    ending: ExitStack,
    folder: Path,
    role: str,
    towards: str,
) -> Lab:
    ours, theirs = namespaces.addresses
    given = configuration(ours, theirs, natt=False, role=role)
    theirs_role = "responder" if role == "initiator" else "initiator"
    gateway = charon(namespaces.names[1], theirs, ours, theirs_role, retransmit=(0.5,) * 40)
    ending.enter_context(gateway)
    branch = ending.enter_context(Branch(namespaces.names[0], given, folder, calls=False))
    intruder = Intruder(namespaces, 2409, role, towards)
    ending.callback(intruder.close)
    return Lab(branch, gateway, intruder)


@pytest.mark.timeout(150)
def test_charons_own_weakness(namespaces: NetnsPair, tmp_path: Path) -> None:
    """A second message 3, which anyone can send, makes charon give up. The agent brings it to
    begin anew, in the same exchange."""
    with ExitStack() as ending:
        found = lab(namespaces, ending, tmp_path, "initiator", "r")
        gave_up = "IDii payload missing"
        for _ in range(10):  # until the packet comes between messages 3 and 5
            found.begin()
            while not (message := found.third()):
                pass
            found.intruder.put("r", changed(message, 200, message[200] ^ 1))
            until(found.common, 60)
            assert not found.branch.told("failed")
            found.take_down()
            if any(gave_up in line for line in found.gateway.log):
                return
        raise AssertionError("charon stood it ten times: the packet did not come in time")


def run(namespaces: NetnsPair, folder: Path, role: str, exchanges: int, packets: int) -> None:
    lost: list[str] = []
    slow = 0
    times = []
    with ExitStack() as ending:
        found = lab(namespaces, ending, folder, role, role[0])
        for number in range(exchanges):
            began = time.monotonic()
            found.beside(packets, _WINDOW)
            try:
                until(found.common, _PATIENCE, "not established")
            except AssertionError as error:
                lost.append(f"{number}: {error}: {found.branch.peer()}")
            else:
                times.append(time.monotonic() - began)
                found.take_down()
        failed = found.branch.told("failed")
        slow = len(failed)
        drops = found.branch.agent.status()["drops"]
    times.sort()
    print(
        f"{role}: {exchanges - len(lost)} of {exchanges} exchanges, {packets} packets beside each"
    )
    print(
        f"failed attempts {slow}, median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s"
    )
    print(f"packets {dict(found.intruder.sent)}, dropped {sum(drops.values())}: {drops}")
    assert not lost and not failed, (lost, failed)
    # He was there: what he sent was read, and was not the peer's.
    assert sum(drops.values()) > packets * exchanges / 4


@pytest.mark.timeout(150)
@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_exchanges_beside_an_intruder(namespaces: NetnsPair, tmp_path: Path, role: str) -> None:
    run(namespaces, tmp_path, role, 2, 150)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_a_thousand_exchanges(namespaces: NetnsPair, tmp_path: Path, role: str) -> None:
    run(namespaces, tmp_path, role, 500, 1000)
