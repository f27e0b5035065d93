"""Every fault of the table, in both roles, on any board; the exchange survives it or ends well."""

import pytest

from ikelet_hil.bench import Bench, eventually
from ikelet_hil.faults import EXPECTED_FAILURES, FAULTS, ROLES, SUITE, Fault, Turn
from ikelet_hil.wire import TO_AGENT

RETRANSMIT = (0.5,) * 40  # seconds: as the agent's own begins


def cases() -> list[object]:
    """Role by role, so that the agent of one serves for all of it."""
    return [
        pytest.param(
            role,
            fault,
            id=f"{role}-{fault.name}".replace(" ", "-").replace(",", ""),
            marks=[pytest.mark.xfail(reason=EXPECTED_FAILURES[fault.name, role], strict=True)]
            if (fault.name, role) in EXPECTED_FAILURES
            else [],
        )
        for role in ROLES
        for fault in FAULTS
        if role in fault.roles
    ]


@pytest.mark.parametrize(("role", "fault"), cases())
def test_fault(bench: Bench, role: str, fault: Fault) -> None:
    turn = Turn(role)
    bench.start(
        "builtin",
        role,
        peer={"retransmit": RETRANSMIT},
        suite=SUITE,
        reuse=True,
        forgiving=True,
        versions=fault.versions(turn),
    )
    bench.wire.add(*fault.rules(turn))
    if role in fault.fails:
        check_failure(bench, fault.fails[role])
    else:
        check_success(bench, fault)
    assert all(rule.acted for rule in bench.wire.rules)
    check_drops(bench, fault.drops.get(role, set()))
    if role in fault.fails or role in fault.alone:
        check_next(bench)


def check_failure(bench: Bench, unanswered: int) -> None:
    """Somebody has to repeat himself, and the agent's reason says what was not answered."""
    bench.begin()
    bench.until(lambda: bench.wire.repeated())
    outcome = bench.agent.bring_up("gw", 0.2)
    assert not outcome.established
    why = f"no answer to message {unanswered} " if unanswered else "did not initiate"
    assert why in outcome.reason


def check_next(bench: Bench) -> None:
    """The next exchange, undisturbed, comes up."""
    bench.wire.clear()
    bench.agent.take_down()
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason


def check_success(bench: Bench, fault: Fault) -> None:
    if bench.role in fault.alone:
        check_replays(bench)
        return
    outcome, theirs = bench.negotiate(max(5 / bench.board.slowness, 2.5))
    assert outcome.established, outcome.reason
    assert theirs.established, theirs.reason
    if fault.act:
        fault.act(bench)
    state = "DOWN" if fault.ends else "ESTABLISHED"
    assert eventually(lambda: bench.agent.status()["peers"][0]["state"] == state)
    bench.agent.catch_up()
    ended = [event for event in bench.events if event["event"] == "deleted"]
    assert len(ended) == (1 if fault.ends else 0)


def check_replays(bench: Bench) -> None:
    """The peer asks again and again for a last message that never comes, and somebody joins in:
    there are two replays a second at most."""
    bench.begin()
    outcome = bench.agent.bring_up("gw", 5 * bench.board.slowness)
    assert outcome.established, outcome.reason
    bench.until(lambda: len(bench.wire.numbered(6)) > 1)
    bench.wire.inject(TO_AGENT, *[bench.wire.numbered(5)[0].data] * 20)
    bench.until(lambda: bench.drops().get("duplicate", 0) > 20)
    replies = bench.wire.numbered(6)
    assert len(replies) <= 1 + 2 * (int(replies[-1].t - replies[0].t) + 2)


def check_drops(bench: Bench, expected: set[str]) -> None:
    """These reasons and no others, but for the duplicates that a slow answer brings about."""
    eventually(lambda: set(bench.drops()) & expected or not expected)
    seen = set(bench.drops())
    assert seen <= expected | {"duplicate"}
    assert seen & expected or not expected
