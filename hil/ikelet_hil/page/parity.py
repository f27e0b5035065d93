"""How alike boards behave: the same tests, outcomes and messages on each."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ikelet_hil.page.records import Record, Run

_RAN = ("passed", "failed", "recovered", "xfailed")
_GOOD = ("passed", "recovered")


@dataclass
class Parity:
    """Two boards compared over the tests that both ran.

    `outcomes` and `messages` count the tests that ended alike, and in which the same messages
    passed the same way; `apart` holds those that ended differently. `slower` is how many times
    longer the second one's handshakes take, the median over tests, or None.
    """

    first: str
    second: str
    tests: int
    outcomes: int
    messages: int
    exchanges: int
    apart: list[tuple[Record, Record]]
    slower: float | None


def compare(run: Run) -> list[Parity]:
    """Every board with the first one, where there are tests that both ran."""
    pairs = [_compared(run, run.boards[0], other) for other in run.boards[1:]]
    return [pair for pair in pairs if pair.tests]


def _compared(run: Run, first: str, second: str) -> Parity:
    pairs = [
        (row[first], row[second])
        for row in run.rows.values()
        if all(board in row and row[board].outcome in _RAN for board in (first, second))
    ]
    apart = [pair for pair in pairs if _verdict(pair[0]) != _verdict(pair[1])]
    talked = [pair for pair in pairs if pair[0].passages or pair[1].passages]
    ratios = [
        statistics.median(each["ms"] for each in two.handshakes)
        / statistics.median(each["ms"] for each in one.handshakes)
        for one, two in pairs
        if one.handshakes and two.handshakes
    ]
    return Parity(
        first,
        second,
        len(pairs),
        len(pairs) - len(apart),
        sum(_messages(one) == _messages(two) for one, two in talked),
        len(talked),
        apart,
        statistics.median(ratios) if ratios else None,
    )


def _verdict(record: Record) -> str:
    return "passed" if record.outcome in _GOOD else record.outcome


def _messages(record: Record) -> list[tuple[str, int]]:
    """Which messages passed which way, each once however often it was repeated."""
    found = []
    for passage in record.passages:
        told = passage["direction"], passage["number"]
        if told not in found:
            found.append(told)
    return found
