"""Two boards of ours against each other: the board under test, and the interpreter opposite it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ikelet import boards, config, psk
from ikelet.agent import Agent
from ikelet.demo import LOOPBACK, free_port
from ikelet_hil.bench import OTHER, OURS, SUITE, THEIRS
from ikelet_hil.capabilities import require
from ikelet_hil.rules import At, drop
from ikelet_hil.station import Station
from ikelet_hil.wire import Wire

ROLES = ("initiator", "responder")


class Couple:
    """`ours` on the board under test, `theirs` on `unix`, the wire between them."""

    def __init__(self, station: Station, role: str, ending: ExitStack) -> None:
        key, here, there = psk.generate(), free_port(), free_port()
        self.slowness = station.held.board.slowness
        self.role = role
        self.wire = ending.enter_context(Wire((LOOPBACK, here), (LOOPBACK, there)))
        ours = settings(key, here, role, self.wire.agent_side, (OURS, THEIRS))
        theirs = settings(key, there, OTHER[role], self.wire.peer_side, (THEIRS, OURS))
        self.ours = ending.enter_context(station.start(ours))
        self.theirs = ending.enter_context(Agent(boards.find("unix"), theirs))

    def check_established(self) -> None:
        if self.role == "responder":
            self.theirs.call("up", {"peer": "gw"})
        timeout = 30 * self.slowness
        outcome, answer = (side.bring_up("gw", timeout) for side in (self.ours, self.theirs))
        assert outcome.established, outcome.reason
        assert answer.established, answer.reason
        assert outcome.cookies == answer.cookies
        assert outcome.suite == answer.suite == SUITE
        assert {outcome.role, answer.role} == set(ROLES)


def settings(
    key: str, port: int, role: str, peer: tuple[str, int], names: tuple[str, str]
) -> config.Config:
    return config.check(
        {
            "device": {"name": role},
            "network": {"bind": LOOPBACK, "port": port},
            "peer": {
                "gw": {
                    "address": peer[0],
                    "port": peer[1],
                    "role": role,
                    "psk": key,
                    "local_id": names[0],
                    "remote_id": names[1],
                    "proposals": [SUITE],
                    "retransmit": "fast",
                }
            },
        }
    )


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    with ExitStack() as ending:
        yield ending


@pytest.mark.parametrize("role", ROLES)
def test_two_boards(station: Station, ending: ExitStack, role: str) -> None:
    require("micropython")
    couple = Couple(station, role, ending)
    couple.check_established()
    assert [each.number for each in couple.wire.passages if each.number][:2] == [1, 2]


@pytest.mark.parametrize("role", ROLES)
def test_two_boards_and_a_bad_wire(station: Station, ending: ExitStack, role: str) -> None:
    """Every message is lost once."""
    require("micropython")
    couple = Couple(station, role, ending)
    couple.wire.add(*[drop(At(number)) for number in range(1, 7)])
    couple.check_established()
    assert all(rule.acted == 1 for rule in couple.wire.rules)


def test_taking_one_down_takes_the_other_down(station: Station, ending: ExitStack) -> None:
    require("micropython")
    couple = Couple(station, "initiator", ending)
    couple.check_established()
    couple.theirs.call("down", {"peer": "gw"})
    assert couple.ours.hold("gw", 10 * couple.slowness) == "the peer took it down"
