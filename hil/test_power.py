"""The board loses its power, or its peer does, in every state of the exchange; both come up again.

The agent must have forgotten everything, and the peer, that still holds half an exchange or a
whole SA, must not keep the next one from coming up.
"""

import pytest

from ikelet_hil.bench import Bench
from ikelet_hil.rules import At, drop
from ikelet_hil.station import Station

ROLES = ("initiator", "responder")
# The exchange stops when the message after this one is lost; 6: it is through.
REACHED = (0, 1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("reached", REACHED)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.requires("power")
def test_the_board_loses_power(bench: Bench, station: Station, role: str, reached: int) -> None:
    bench.start("builtin", role, forgiving=True, suite="aes256-sha256-modp1024")
    stop_after(bench, reached)
    station.power_cycle(bench.agent)
    comes_up(bench)


@pytest.mark.parametrize("reached", REACHED)
@pytest.mark.parametrize("role", ROLES)
def test_the_peer_loses_power(bench: Bench, role: str, reached: int) -> None:
    """A gateway without memory of the exchange: the agent gives up its own, or is told to."""
    bench.start("builtin", role, forgiving=True, reuse=True, suite="aes256-sha256-modp1024")
    stop_after(bench, reached)
    bench.replace_peer()
    if role == "initiator":
        bench.agent.take_down()
    comes_up(bench)


def stop_after(bench: Bench, reached: int) -> None:
    """Run the exchange up to message `reached`, and not further."""
    if not reached:
        return
    if reached == 6:
        outcome, theirs = bench.negotiate()
        assert outcome.established and theirs.established, outcome.reason or theirs.reason
        return
    rule = drop(At(reached + 1, times=None))
    bench.wire.add(rule)
    bench.begin()
    bench.until(lambda: rule.acted)


def comes_up(bench: Bench) -> None:
    """The next exchange does; one before it may have gone on meanwhile, and have come up too."""
    bench.wire.clear()
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason
    cookies = {"initiator": theirs.initiator_cookie, "responder": theirs.responder_cookie}

    def told() -> bool:
        bench.agent.catch_up()
        made = [event for event in bench.events if event["event"] == "established"]
        return cookies in [event["cookies"] for event in made]

    bench.until(told)
