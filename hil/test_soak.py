"""Exchange after exchange over a wire that loses, repeats and delays: all come up, heap flat."""

import pytest

from ikelet_hil.bench import Bench
from ikelet_hil.rules import At, delay, drop, duplicate

ROUNDS = 8  # more of them: --count


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_soak(bench: Bench, role: str) -> None:
    bench.start(
        "builtin",
        role,
        peer={"retransmit": (0.5,) * 60},
        suite="aes256-sha256-modp1024",
        forgiving=True,
    )
    print(f"wire seed {bench.wire.seed}")
    for chance, rule in ((0.1, drop), (0.15, duplicate)):
        bench.wire.add(rule(At(times=None, probability=chance)))
    bench.wire.add(delay(At(times=None, probability=0.15), 0.05))
    used = []
    for _ in range(ROUNDS):
        outcome, theirs = bench.negotiate()
        assert outcome.established, outcome.reason
        assert theirs.established, theirs.reason
        bench.agent.take_down()
        used.append(bench.agent.status()["heap"]["used"])
    assert max(used[ROUNDS // 2 :]) - min(used[ROUNDS // 2 :]) <= 4096
