"""First messages that break a rule, on any board: refused or met by silence, and not to the cost
of the honest exchange right behind them."""

import struct
from collections.abc import Callable, Collection

import pytest

from ikelet_hil.bench import Bench, eventually
from ikelet_hil.rules import At, inject, rewrite
from ikelet_hil.wire import TO_PEER
from malformed import ARGUABLE, MALFORMED, TOLERATED

TOLD = ("payload length 0", "DOI 5", "group 1")
Make = Callable[[bytes], bytes | bytearray]


def notifies(bench: Bench) -> list[int]:
    """The types of the clear notifies that the agent sent."""
    sent = [passage.data for passage in bench.wire.numbered(0, TO_PEER)]
    assert all((data[16], data[19]) == (11, 0) for data in sent)
    return [struct.unpack_from("!H", data, 28 + 4 + 6)[0] for data in sent]


def cases(names: Collection[str] = ()) -> list[object]:
    return [
        pytest.param(*case, id=name.replace(" ", "-"))
        for name, *case in MALFORMED
        if not names or name in names
    ]


def check_refused(bench: Bench, make: Make, reason: str) -> None:
    """The malformed one arrives right before the honest one that it was made of. A peer that finds
    the answer slow may ask again."""
    bench.wire.add(inject(At(1), lambda honest: [bytes(make(honest))], before=True))
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason
    assert bench.drops() | {"duplicate": 0} == {reason: 1, "duplicate": 0}


@pytest.mark.parametrize(("make", "reason", "notify"), cases())
def test_malformed(bench: Bench, make: Make, reason: str, notify: int | None) -> None:
    """Dropped for its own reason; there is one notify a second at most, so not for each."""
    bench.start("builtin", "responder", reuse=True, forgiving=True)
    check_refused(bench, make, reason)
    assert notifies(bench) in ([], [notify])


@pytest.mark.parametrize(("make", "reason", "notify"), cases(TOLD))
def test_a_refusal_is_told(bench: Bench, make: Make, reason: str, notify: int) -> None:
    bench.start("builtin", "responder", forgiving=True)
    check_refused(bench, make, reason)
    assert notifies(bench) == [notify]
    (forged,) = (passage for passage in bench.wire.passages if not passage.sent)
    assert len(bench.wire.numbered(0)[0].data) <= len(forged.data)


@pytest.mark.parametrize(
    "make", [pytest.param(make, id=name.replace(" ", "-")) for name, make in TOLERATED]
)
def test_tolerated(bench: Bench, make: Make) -> None:
    bench.start("builtin", "responder", reuse=True)
    rule = rewrite(At(1), lambda honest: bytes(make(honest)))
    bench.wire.add(rule)
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason
    assert rule.acted and set(bench.drops()) <= {"duplicate"}


@pytest.mark.parametrize("strict", [True, False])
def test_the_strict_switch(bench: Bench, strict: bool) -> None:
    """It decides over the arguable ones: a message 2 comes, or none."""
    once = {"retransmit": (60.0,)}
    bench.start("builtin", "responder", None, once, device={"strict": strict}, forgiving=True)
    makes = {name: make for name, make, _, _ in MALFORMED if name in ARGUABLE}
    assert len(makes) == len(ARGUABLE)
    for make in makes.values():
        bench.wire.add(rewrite(At(1), lambda honest, make=make: bytes(make(honest))))
        bench.peer.initiate()
    seen = {
        True: lambda: sum(bench.drops().values()),
        False: lambda: len(bench.wire.numbered(2)),
    }
    patience = 5 * bench.board.slowness
    assert eventually(lambda: seen[strict]() == len(makes), patience)
    assert bool(seen[False]()) != strict
