"""The long runs of what tests/core and tests/fuzz do shortly."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from spoofing import Run

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

FUZZER = Path(__file__).resolve().parents[1] / "fuzz" / "coverage_guided.py"


def test_a_thousand_exchanges_beside_a_thousand_packets_each() -> None:
    """Clear and corrupt packets at random moments: no honest exchange is lost."""
    lost = []
    rivals: Counter[int] = Counter()
    for seed in range(1000):
        run = Run(seed, 1000)
        rivals[run.rivals] += 1
        if run.failure:
            lost.append(f"seed {seed}: {run.failure}")
    print(f"{1000 - len(lost)} of 1000 established, {max(rivals)} rivals at most")
    assert not lost


def test_a_thousand_handshakes_at_thirty_percent_loss() -> None:
    """The fast preset, each way; an exchange that fails is begun anew, as the agent does."""
    seconds: Counter[int] = Counter()
    lost = []
    for seed in range(1000):
        run = Run(seed, 0, loss=30, attempts=8)
        seconds[run.established_ms // 1000] += 1
        if run.failure:
            lost.append(f"seed {seed}: {run.failure}")
    for second, number in sorted(seconds.items()):
        print(f"{second:4} s {number:4}")
    assert not lost


def test_a_million_datagrams_guided_by_coverage() -> None:
    """Both roles, with the keys."""
    done = subprocess.run([sys.executable, str(FUZZER), "1000000"], stdout=subprocess.PIPE)
    print(done.stdout.decode())
    assert done.returncode == 0
