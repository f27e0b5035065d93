"""What a person sees of a run: each test as it ends, and for each board what it is at right now,
in which phase, for how long still. On a terminal the boards stay at the bottom; elsewhere a line
is written at the end of each test.

Workers tell the process that shows it by datagrams over loopback: one that is lost, or a process
that has gone, does no harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import pytest
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

DURATIONS = "ikelet/durations"
COLOURS = {"passed": "green", "skipped": "yellow", "recovered": "bold yellow", "xfailed": "yellow"}
Tell = Callable[[dict[str, Any]], None]


def teller(port: int) -> Tell:
    """A worker's way to tell what its board is at."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def tell(state: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            out.sendto(json.dumps(state).encode(), ("127.0.0.1", port))

    return tell


@dataclass
class Row:
    """A board's state. `until` is the deadline of its phase, 0 for none; `seconds` how long each
    test that is still to come took the last time, None for unknown."""

    board: str
    waiting: dict[str, float | None] = field(default_factory=dict)
    total: int = 0
    test: str = ""
    phase: str = ""
    note: str = ""
    since: float = 0.0
    until: float = 0.0
    took: list[float] = field(default_factory=list)

    def left(self) -> float | None:
        """Seconds until the board is through, by what is known; None for nothing."""
        known = [seconds for seconds in self.waiting.values() if seconds is not None]
        mean = (sum(self.took) + sum(known)) / max(1, len(self.took) + len(known))
        if not self.took and not known:
            return None
        return sum(known) + mean * (len(self.waiting) - len(known))


class Progress:
    """The rows of all boards. `durations`: seconds by board and test, of runs before."""

    def __init__(self, boards: list[str], durations: dict[str, float]) -> None:
        self.rows = {name: Row(name) for name in boards}
        self.durations = durations
        self._lock = threading.Lock()

    def expect(self, board: str, tests: list[str]) -> None:
        """These tests are going to run on the board."""
        row = self.rows[board]
        row.waiting = {test: self.durations.get(f"{board} {test}") for test in tests}
        row.total = len(row.waiting)

    def told(self, state: dict[str, Any]) -> None:
        """A board is at something: board, test, phase, allowed (seconds, 0: no deadline), note."""
        with self._lock:
            row = self.rows.get(str(state.get("board")))
            if row:
                row.test, row.phase = state.get("test", row.test), state.get("phase", "")
                row.note = state.get("note", "")
                row.since = time.monotonic()
                allowed = state.get("allowed", 0)
                row.until = row.since + allowed if allowed else 0.0

    def ended(self, board: str, test: str, outcome: str, seconds: float) -> str:
        """A test is through; what to say of the board: how far it is."""
        with self._lock:
            row = self.rows[board]
            row.waiting.pop(test, None)
            if outcome != "skipped":
                row.took.append(seconds)
                self.durations[f"{board} {test}"] = round(seconds, 3)
            done = f"{row.total - len(row.waiting)}/{row.total}"
            left = row.left()
            return done if not row.waiting or left is None else f"{done}, {_about(left)} left"

    def table(self) -> Table:
        """For a terminal."""
        grid = Table.grid(padding=(0, 2), expand=False)
        now = time.monotonic()
        with self._lock:
            for row in self.rows.values():
                if not row.total:
                    continue
                grid.add_row(*_cells(row, now))
        return grid


def _cells(row: Row, now: float) -> list[Text]:
    done = row.total - len(row.waiting)
    far = f"{done}/{row.total}"
    if not row.waiting:
        return [Text(row.board, "bold"), Text("done", "green"), Text(far)]
    left = row.left()
    spent = f"{now - row.since:.0f} s" if row.phase else ""
    if row.phase and row.until:
        spent += f" of {row.until - row.since:.0f}"
    return [
        Text(row.board, "bold"),
        Text(f"{far}{f', {_about(left)} left' if left is not None else ''}"),
        Text(row.note or row.phase, "cyan"),
        Text(spent, "dim"),
        Text(_short(row.test), overflow="ellipsis", no_wrap=True),
    ]


def _about(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _short(test: str) -> str:
    file, colons, rest = test.partition("::")
    return file.rpartition("/")[2] + colons + rest


class Watch:
    """The pytest hooks that feed a Progress and show it. `live`: on a terminal."""

    def __init__(self, config: pytest.Config, boards: list[str], live: bool) -> None:
        self._config = config
        # None with -p no:cacheprovider.
        self._cache: pytest.Cache | None = getattr(config, "cache", None)
        kept = self._cache.get(DURATIONS, {}) if self._cache is not None else {}
        self.progress = Progress(boards, kept)
        self._live = live
        self._shown: Live | None = None
        self._console = Console(file=_own_stdout(), highlight=False) if live else None
        self._over = False
        self._outcomes: dict[str, tuple[str, float]] = {}
        self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in.bind(("127.0.0.1", 0))
        self.port: int = self._in.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, name="progress", daemon=True)
        self._thread.start()

    # -- what runs --------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._expect([name for name in ids if "@board-" in name])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        station_of = self._config.pluginmanager.get_plugin("ikelet-boards").station_of  # type: ignore[union-attr]
        named = [(item, station_of(item)) for item in session.items]
        self._expect([f"{item.nodeid}@board-{there.name}" for item, there in named if there])

    def _expect(self, ids: list[str]) -> None:
        for board in self.progress.rows:
            mine = [name.partition("@board-") for name in ids]
            self.progress.expect(board, [test for test, _, name in mine if name == board])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            return
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        reporter.showfspath = False
        reporter._show_progress_info = False
        if self._console:
            self._shown = Live(
                get_renderable=self.progress.table,
                console=self._console,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._shown.start()

    # -- how it ends ------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        category, letter, word = yield
        if getattr(report, "board", "") and not self._over:
            return category, "", ""  # _line shows it; the summary at the end is pytest's
        return category, letter, word

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        board = getattr(report, "board", "")
        if not board:
            return
        outcome, seconds = self._outcomes.get(report.nodeid, ("", 0.0))
        if report.when == "call" or report.outcome != "passed":
            outcome = outcome if outcome == "failed" else _outcome(report)
        self._outcomes[report.nodeid] = outcome, seconds + report.duration
        if report.when == "teardown":
            outcome, seconds = self._outcomes.pop(report.nodeid)
            test = report.nodeid.partition("@board-")[0]
            self._line(board, test, outcome, seconds)

    def _line(self, board: str, test: str, outcome: str, seconds: float) -> None:
        far = self.progress.ended(board, test, outcome, seconds)
        width = max(map(len, self.progress.rows))
        text = f"{board:<{width}}  {outcome.upper():<9}  {_short(test)}  {seconds:.1f} s  ({far})"
        if self._console:
            self._console.print(Text(text, COLOURS.get(outcome, "red")), soft_wrap=True)
        else:
            reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
            reporter.ensure_newline()
            reporter.write_line(f"{time.strftime('%H:%M:%S')}  {text}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._over = True
        if self._shown:
            self._shown.stop()
            self._shown = None
        if self._cache is not None and not self._config.option.collectonly:
            self._cache.set(DURATIONS, self.progress.durations)

    def pytest_unconfigure(self) -> None:
        if self._shown:
            self._shown.stop()
        self._in.close()

    def _listen(self) -> None:
        while True:
            try:
                state = json.loads(self._in.recv(4096))
            except OSError:  # closed: the run is over
                return
            except ValueError:  # somebody else's datagram
                continue
            if isinstance(state, dict):
                self.progress.told(state)


def wanted(config: pytest.Config) -> str:
    """How to show the progress: live, plain, or "" for pytest's own way."""
    choice = config.getoption("--live")
    if choice == "off" or config.option.collectonly or config.option.verbose > 0:
        return ""
    if choice == "auto":
        if not config.getoption("--board"):
            return ""
        return "live" if sys.stdout.isatty() else "plain"
    return str(choice)


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.passed and hasattr(report, "recovered"):
        return "recovered"
    return report.outcome


def _own_stdout() -> IO[str]:
    """A copy of standard output that pytest's capturing does not take away."""
    return os.fdopen(os.dup(sys.__stdout__.fileno() if sys.__stdout__ else 1), "w")
