"""What counts as a leak, and that one is found on a running agent."""

from typing import Any

import pytest

from ikelet import boards
from ikelet_hil import heapcheck
from ikelet_hil.bench import Bench
from ikelet_hil.heapcheck import HeapCheck, allowance, leaked

PEERS = {"gw": {"proposals": ["aes256-sha256-modp2048", "aes128-sha256-modp4096"]}}


def heap(used: int, free: int = 50_000, modules: int = 20, idf: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = {"used": used, "free": free, "modules": modules}
    return told | ({"idf": {"free": idf, "largest": idf // 2}} if idf else {})


def test_what_may_be_held() -> None:
    plain = allowance(PEERS, 0, set())
    assert plain == heapcheck.TEXTS + heapcheck.EVENTS + heapcheck.LATE + 3 * 512
    assert allowance(PEERS, 2, set()) == plain + 2 * heapcheck.REASON
    assert allowance(PEERS, 0, {b"a" * 100}) == plain + heapcheck.FIRST + 100
    many = {bytes([number]) * 1000 for number in range(100)}
    assert allowance(PEERS, 0, many) == plain + 16 * heapcheck.FIRST + 4096


def test_growth_is_a_leak_unless_modules_came() -> None:
    assert leaked(heap(70_000), heap(71_000), 1000) == ""
    assert leaked(heap(70_000), heap(60_000), 1000) == ""
    assert "1001 bytes more" in leaked(heap(70_000), heap(71_001), 1000)
    assert leaked(heap(70_000), heap(76_000, modules=21), 1000) == ""
    assert "1 modules" in leaked(heap(70_000), heap(90_000, modules=21), 1000)


def test_esp_idfs_heap_is_left_alone() -> None:
    before = heap(70_000, 50_000, idf=100_000)
    assert leaked(before, heap(70_000, 52_000, idf=98_000), 0) == ""
    grown = heap(70_000, 70_000, idf=80_000)
    assert "heap took 20000 bytes of what the network has" in leaked(before, grown, 0)
    lost = heap(70_000, 50_000, idf=90_000)
    assert "ESP-IDF's heap lost 10000 bytes" in leaked(before, lost, 0)
    # Without a network all of it is there for MicroPython.
    assert all(leaked(before, after, 0, networked=False) == "" for after in (grown, lost))


class Forgetful:
    """An agent that loses some memory with every call of take_down()."""

    def __init__(self, real: Any, size: int) -> None:
        self.board, self.config = real.board, real.config
        self._real, self._size, self._lost = real, size, 0

    def take_down(self) -> None:
        self._real.take_down()
        self._lost += self._size

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self._real.status()
        status["heap"]["used"] += self._lost
        return status


def test_small_leaks_of_an_agent_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heapcheck, "_PATIENCE", 0.2)
    with Bench(boards.find("unix")) as bench:
        bench.start("builtin", "initiator")
        assert bench.negotiate()[0].established
        assert HeapCheck(bench.agent).settle([]) == ""
        agent: Any = Forgetful(bench.agent, 500)
        told = [HeapCheck(agent).settle([]) for _ in range(8)]
    assert told[0] == "" and "memory leak" in told[-1]


def test_a_board_that_is_gone_is_no_leak() -> None:
    with Bench(boards.find("unix")) as bench:
        bench.start("builtin", "initiator")
        check = HeapCheck(bench.agent)
        bench.agent.console.close()
        assert check.settle([]) == ""
    assert check.after is None
    assert "does not tell" in check.unknown
