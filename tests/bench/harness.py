"""What the HIL harness itself costs, and what a worker a board saves."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ikelet import boards
from report import Figure, Report, Table, Tell, UnavailableError

TITLE = "Harness"
OVERHEAD_MS = 150
SIDE_BY_SIDE = 0.65
FEW, MANY = 10, 60
EMPTY = """
import pytest
@pytest.mark.parametrize("number", range({count}))
def test_nothing(bench, number):
    pass
"""
HIL = Path(__file__).parents[2] / "hil"
PSK = str(HIL / "test_psk.py")


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    if why := boards.usable(boards.find("unix")):
        raise UnavailableError(why)
    report = Report()
    overhead = _overhead(tell)
    report.figures.append(
        Figure("harness-overhead", "harness, a test on unix", overhead, "ms", OVERHEAD_MS)
    )
    rows = []
    for board in boards.load_all().values():
        if board.kind != "serial" and not boards.usable(board):
            tell(f"PSK suite on {board.name}")
            seconds = _seconds([PSK, "--board", board.name])
            rows.append([board.name, f"{seconds:.1f}"])
            report.data[f"psk-{board.name}"] = round(seconds, 1)
    report.tables.append(Table("wall time of the PSK suite", ["board", "s"], rows))
    # Two of a kind: with boards of different speed the slower one alone would be measured.
    tell("PSK suite on two boards, one after the other")
    chosen = [PSK, "-k", "builtin", "--board", "unix", "--board", "unix#2"]
    after = _seconds([*chosen, "-n0"])
    tell("PSK suite on two boards, side by side")
    beside = _seconds(chosen)
    report.figures.append(
        Figure("side-by-side", "two boards side by side", beside / after, "x", SIDE_BY_SIDE)
    )
    report.notes.append(
        f"PSK suite on two boards: {after:.1f} s one after the other, {beside:.1f}"
    )
    return report


def _overhead(tell: Tell) -> float:
    """Milliseconds that one more test costs whose body is empty: board, fixtures, evidence."""
    with tempfile.TemporaryDirectory() as folder:
        times = {}
        for count in (FEW, MANY):
            tell(f"{count} empty tests on unix")
            (Path(folder) / "test_empty.py").write_text(EMPTY.format(count=count))
            line = [f"{folder}/test_empty.py", "--board", "unix", "--rootdir", folder]
            times[count] = min(_seconds([*line, "--evidence", f"{folder}/kept"]) for _ in range(3))
    return 1000 * (times[MANY] - times[FEW]) / (MANY - FEW)


def _seconds(arguments: list[str]) -> float:
    """Wall time of a run that must pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} fails:\n{done.stdout[-2000:]}")
    return time.monotonic() - began
