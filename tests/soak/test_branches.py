"""A thousand branches after an outage, with the agent's back-off and with a fixed interval."""

import heapq
import resource
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hostile import cable
from ikelet.peers.netns import NetnsPair
from pair import make_hal
from soak import branches
from uptime.lab import charon

NETWORK = "10.64.0.0/16"
OUTAGE_MS = 600_000
ENOUGH = 310.0  # seconds: the longest pause is 300


def test_branches_come_one_by_one() -> None:
    """Simulated. In no second more than a twelfth of them, where all come at once otherwise."""
    count = 100
    ours = branches.arrivals(count, False, OUTAGE_MS)
    theirs = branches.arrivals(count, True, 60_000)
    assert branches.most(ours) <= count / 12
    assert branches.most(theirs) == count
    assert max(ours) <= 300_000


@pytest.fixture
def pair(require: Callable[[str], None]) -> Iterator[NetnsPair]:
    for capability in ("root", "netns", "strongswan"):
        require(capability)
    with NetnsPair() as pair:
        (office, outside), (_, gate) = pair.names, pair.addresses
        back = ["ip", "-n", office, "route", "add", NETWORK, "via", gate]
        own = ["ip", "-n", outside, "route", "add", "local", NETWORK, "dev", "lo"]
        for command in (back, own):
            subprocess.run(command, check=True)
        yield pair


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_thousand_branches_and_charon(pair: NetnsPair) -> None:
    """The outage is simulated, what comes after it is real."""
    count = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count)), hard))
    columns = []
    for fixed in (False, True):
        with charon(pair.names[0], pair.addresses[0], None), ExitStack() as ending:
            came, up = after(pair, ending, *branches.lost(count, fixed, OUTAGE_MS, _hal()))
        print(f"fixed {fixed}: {len(came)} came, {len(up)} up, last {max(up or [0]) / 1000:.0f} s")
        assert fixed or len(up) == count
        columns += [branches.curve(came), branches.curve(up)]
    print("until second | came, at most in one second | up | the same, every 4 s")
    for rows in zip(*columns, strict=True):
        cells = [f"{total} ({most})" for _, total, most in rows]
        print(f"| {rows[0][0]} | {' | '.join(cells)} |")


def _hal() -> Callable[[int], Any]:
    hal = make_hal()
    return lambda number: hal


def after(
    pair: NetnsPair, ending: ExitStack, found: list[Any], clock: Any
) -> tuple[list[int], list[int]]:
    """Run branches in real time, each from an address of its own, until all are up: milliseconds
    at which the first message of each is sent, and at which it is up."""
    began, start = time.monotonic(), clock.now
    chooser = ending.enter_context(selectors.DefaultSelector())
    sockets = []
    with cable.inside(pair.names[1]):
        for branch in found:
            own = ending.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            own.bind((branch.address, 500))
            own.setblocking(False)
            chooser.register(own, selectors.EVENT_READ, len(sockets))
            sockets.append(own)
    queue = [(branch.due(), number) for number, branch in enumerate(found)]
    heapq.heapify(queue)
    came: dict[int, int] = {}
    up: dict[int, int] = {}

    def turn(number: int) -> None:
        branch = found[number]
        for datagram in branch.turn():
            came.setdefault(number, clock.now - start)
            sockets[number].sendto(datagram, (branches.GATEWAY, 500))
        if branch.is_up():
            up.setdefault(number, clock.now - start)
        else:
            heapq.heappush(queue, (max(branch.due(), clock.now + 1), number))

    while len(up) < len(found) and time.monotonic() - began < ENOUGH:
        clock.now = start + int((time.monotonic() - began) * 1000)
        while queue and queue[0][0] <= clock.now:
            turn(heapq.heappop(queue)[1])
        wait = (queue[0][0] - clock.now) / 1000 if queue else 1.0
        for key, _ in chooser.select(max(0.0, min(wait, 1.0))):
            branch = found[key.data]
            data, sender = sockets[key.data].recvfrom(4096)
            clock.now = start + int((time.monotonic() - began) * 1000)
            branch.engine.receive(data, (branch.address, 500, *sender), clock.now)
            turn(key.data)
    return list(came.values()), list(up.values())
