"""First messages that break a rule, on any board: refused or met by silence, and not to the cost
of the honest exchange right behind them."""

import struct
from collections.abc import Callable

import pytest

from ikelet_hil.bench import Bench, eventually
from ikelet_hil.rules import At, inject, rewrite
from ikelet_hil.wire import TO_PEER
from malformed import ARGUABLE, MALFORMED, TOLERATED

Make = Callable[[bytes], bytes | bytearray]


def notifies(bench: Bench) -> list[int]:
    """The types of the clear notifies that the agent sent."""
    sent = [passage.data for passage in bench.wire.numbered(0, TO_PEER)]
    assert all((data[16], data[19]) == (11, 0) for data in sent)
    return [struct.unpack_from("!H", data, 28 + 4 + 6)[0] for data in sent]


@pytest.mark.parametrize(
    ("make", "reason", "notify"),
    [pytest.param(*case[1:], id=case[0].replace(" ", "-")) for case in MALFORMED],
)
def test_malformed(bench: Bench, make: Make, reason: str, notify: int | None) -> None:
    bench.start("builtin", "responder", forgiving=True)
    bench.wire.add(inject(At(1), lambda honest: [bytes(make(honest))], before=True))
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason
    assert bench.drops() == {reason: 1}
    assert notifies(bench) == ([] if notify is None else [notify])
    if notify is not None:  # never larger than what provoked it
        (forged,) = (passage for passage in bench.wire.passages if not passage.sent)
        assert len(bench.wire.numbered(0)[0].data) <= len(forged.data)


@pytest.mark.parametrize(
    "make", [pytest.param(make, id=name.replace(" ", "-")) for name, make in TOLERATED]
)
def test_tolerated(bench: Bench, make: Make) -> None:
    bench.start("builtin", "responder")
    rule = rewrite(At(1), lambda honest: bytes(make(honest)))
    bench.wire.add(rule)
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason
    assert rule.acted and bench.drops() == {}


@pytest.mark.parametrize("strict", [True, False])
def test_the_strict_switch(bench: Bench, strict: bool) -> None:
    """It decides over the arguable ones: with a message 2, or with none."""
    bench.start("builtin", "responder", {"strict": strict}, forgiving=True)
    makes = {name: make for name, make, _, _ in MALFORMED if name in ARGUABLE}
    assert len(makes) == len(ARGUABLE)
    for make in makes.values():
        bench.wire.clear()
        bench.wire.add(rewrite(At(1), lambda honest, make=make: bytes(make(honest))))
        answered = len(bench.wire.numbered(2)) + sum(bench.drops().values())
        bench.peer.initiate()
        assert eventually(
            lambda before=answered: (
                len(bench.wire.numbered(2)) + sum(bench.drops().values()) > before
            ),
            5 * bench.board.slowness,
        )
    assert len(bench.wire.numbered(2)) == (0 if strict else len(makes))
