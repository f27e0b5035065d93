"""A hub: many gateways with an SA each, on the heap of a small board."""

from collections.abc import Callable

import pytest

from uptime.hub import Hub, hub


def fill(there: Hub, count: int) -> None:
    """All of them up, in turn, and still up at the end: each answers for itself."""
    for number in range(count):
        there.call(number)
    assert set(there.established()) == {f"branch-{number}" for number in range(count)}
    status = there.agent.status()
    assert "no-memory" not in status["drops"]
    assert all(peer["age_s"] >= 0 and "last_down" not in peer for peer in status["peers"])
    # All of that is more than a line of the console holds.
    assert len(there.agent.call("config.get")["peer"]) == count
    # One goes, and comes back; the others do not notice.
    there.gateways[7].delete()
    assert there.wait_down(7)
    there.call(7)
    assert len(there.established()) == count


def test_sixteen_on_unix(require: Callable[[str], None]) -> None:
    """256 KB of 64-bit heap."""
    require("micropython")
    with hub("unix", 16) as there:
        fill(there, 16)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_sixteen_on_a_32_bit_board(require: Callable[[str], None]) -> None:
    """138 KB of heap, where the ciphers are software too."""
    require("qemu-rv32")
    with hub("qemu-rv32", 16) as there:
        fill(there, 16)
