"""What the HIL harness itself costs, and what a worker a board saves."""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ikelet import boards
from ikelet_hil.page import records
from report import Figure, Report, Table, Tell, UnavailableError

TITLE = "Harness"
OVERHEAD_MS = 150
SIDE_BY_SIDE = 0.65
EMPTY = """
import pytest
@pytest.mark.parametrize("number", range(41))
def test_nothing(bench, number):
    bench.start("builtin", "initiator", reuse=True)
"""
HIL = Path(__file__).parents[2] / "hil"
PSK = [str(HIL / "test_psk.py")]
# Lost messages: the boards wait for each other's timers, and leave the processor to others.
WAITING = [str(HIL / "test_faults.py"), "-k", "lost or withheld or corrupted", "--count", "2"]


@dataclass
class Done:
    """A run that passed: its wall time, from the command to its end, and what it left."""

    seconds: float
    run: records.Run


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    if why := boards.usable(boards.find("unix")):
        raise UnavailableError(why)
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder)
        report.figures.append(_overhead(kept, tell))
        _psk(kept, tell, report)
        _side_by_side(kept, tell, report)
    return report


def _overhead(kept: Path, tell: Tell) -> Figure:
    """What one more test costs that has agent, wire and gateway and does nothing with them: heap
    check, evidence, reports. From one test's beginning to the next one's, so that the board's own
    start does not count; the median."""
    tell("empty tests on unix")
    (kept / "test_empty.py").write_text(EMPTY)
    done = _done([f"{kept}/test_empty.py", "--board", "unix", "--rootdir", str(kept)], kept)
    began = [float(record.raw["began"]) for record in done.run.records]
    cycles = [1000 * (after - before) for before, after in itertools.pairwise(began)]
    return Figure(
        "harness-overhead", "harness, a test on unix", statistics.median(cycles), "ms", OVERHEAD_MS
    )


def _psk(kept: Path, tell: Tell, report: Report) -> None:
    """Wall time of the PSK suite, on each board that can be used without being plugged in."""
    rows = []
    for board in boards.load_all().values():
        if board.kind == "serial" or boards.usable(board):
            continue
        tell(f"PSK suite on {board.name}")
        done = _done([*PSK, "--board", board.name], kept)
        rows.append([board.name, f"{done.run.counts()['passed']}", f"{done.seconds:.1f}"])
        report.data[f"psk-{board.name}"] = round(done.seconds, 1)
    report.tables.append(Table("wall time of the PSK suite", ["board", "passed", "s"], rows))


def _side_by_side(kept: Path, tell: Tell, report: Report) -> None:
    """Two of a kind: of boards of different speed the slower one alone would be measured."""
    two = [*WAITING, "--board", "unix", "--board", "unix#2"]
    tell("lost messages on two boards, one after the other")
    after = _done([*two, "-n0"], kept)
    tell("lost messages on two boards, side by side")
    beside = _done(two, kept)
    if len(beside.run.records) != len(after.run.records):
        raise RuntimeError("side by side other tests ran than one after the other")
    ratio = beside.seconds / after.seconds
    report.figures.append(
        Figure("side-by-side", "two boards side by side", ratio, "x", SIDE_BY_SIDE)
    )
    report.notes.append(
        f"{len(after.run.records)} tests with lost messages on two boards: {after.seconds:.1f} s "
        f"one after the other, {beside.seconds:.1f} s side by side, all of pytest included"
    )


def _done(arguments: list[str], kept: Path) -> Done:
    """A run that must pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--evidence", str(kept / "runs"), *arguments]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} fails:\n{done.stdout[-2000:]}")
    return Done(seconds, records.load(kept / "runs" / "latest"))
