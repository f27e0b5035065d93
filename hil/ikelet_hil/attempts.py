"""How a test on a board is run: once, and once more where its board failed and came back.

What a test asserts is never tried again. A pass after the board came back is RECOVERED. A board
that does not come back is dead: the test that found it so fails, the others end at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from ikelet_hil.phases import SECONDS, Phase, Phases
from ikelet_hil.station import Recovery, Station, Trouble

RECOVERED = "recovered"
_TEST_SECONDS = pytest.StashKey[float]()


class Attempts:
    """The hooks around a test on a board; others are left to pytest."""

    def __init__(
        self,
        station_of: Callable[[pytest.Item], Station | None],
        at: Callable[[Station, pytest.Item, Phase | None], None],
    ) -> None:
        """at: told each change of a test's phase."""
        self._station_of = station_of
        self._at = at
        self._trouble: Trouble | None = None
        self._taken_over: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if self._station_of(item):
                item.stash[_TEST_SECONDS] = _limit(item)
                # The phases keep the time: pytest-timeout would count the board's start too.
                item.add_marker(pytest.mark.timeout(0), append=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        station = self._station_of(item)
        if station is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._run(item, nextitem, station):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(
        self, item: pytest.Item, nextitem: pytest.Item | None, station: Station
    ) -> list[pytest.TestReport]:
        reports, trouble = self._attempt(item, nextitem, station)
        if trouble is None:
            return reports
        recovery = self._bring_back(item, station, trouble)
        if recovery is None:
            return [_told(report, "the board is dead", station.dead) for report in reports]
        first = next(report for report in reports if report.failed)
        station.again = recovery
        try:
            reports, again = self._attempt(item, nextitem, station)
        finally:
            station.again = None
        if again:
            self._bring_back(item, station, again)
        for report in reports:
            _told(report, "tried again", f"{recovery}\n\n{first.longreprtext}")
            report.recovered = str(recovery)  # type: ignore[attr-defined]
        return reports

    def _attempt(
        self, item: pytest.Item, nextitem: pytest.Item | None, station: Station
    ) -> tuple[list[pytest.TestReport], Trouble | None]:
        self._trouble = None
        before = len(station.recoveries)
        station.phases = Phases(station.slowness, lambda phase: self._at(station, item, phase))
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        for report in reports:
            report.board = station.name  # type: ignore[attr-defined]
            report.phases = station.phases.totals()  # type: ignore[attr-defined]
        # In an attempt itself a board is brought back only when it is acquired.
        reports[0].taken_over = [  # type: ignore[attr-defined]
            f"{station.name}: {recovery}" for recovery in station.recoveries[before:]
        ]
        return reports, self._trouble

    def _bring_back(
        self, item: pytest.Item, station: Station, trouble: Trouble
    ) -> Recovery | None:
        # What other tests would have shared goes too: it may hold on to the board.
        item.session._setupstate.teardown_exact(None)
        return None if station.dead else station.recover(trouble)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        station = self._station_of(item)
        report = yield
        error = call.excinfo.value if call.excinfo else None
        if station and error and not report.skipped and self._trouble is None:
            with station.phases.phase("recover"):
                self._trouble = station.examine(error)
            if self._trouble:
                _told(report, "the board", f"{self._trouble.kind}: {self._trouble}")
        return report

    # -- told to the user -------------------------------------------------------------------------

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, Any] | None:
        if report.when == "call" and report.passed and hasattr(report, "recovered"):
            return RECOVERED, "R", ("RECOVERED", {"yellow": True})
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._taken_over += getattr(report, "taken_over", [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What happened to the boards: nothing that was tried again is hidden."""
        recovered = terminalreporter.stats.get(RECOVERED, [])
        if recovered or self._taken_over:
            terminalreporter.section("recovered", yellow=True)
        for line in self._taken_over:
            terminalreporter.write_line(f"TAKEN OVER {line}")
        for report in recovered:
            terminalreporter.write_line(f"RECOVERED {report.nodeid}: {report.recovered}")

    # -- phases -----------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        station = self._station_of(item)
        if station and station.dead:
            pytest.skip(f"{station.name} is dead: {station.dead}")
        if station:
            station.check()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        station = self._station_of(item)
        if station is None:
            return (yield)
        with station.phases.phase("test", item.stash[_TEST_SECONDS]):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        station = self._station_of(item)
        if station is None:
            return (yield)
        with station.phases.phase("teardown"):
            return (yield)


def _limit(item: pytest.Item) -> float:
    """A test's own limit in seconds, of its marker `timeout`."""
    mark = item.get_closest_marker("timeout")
    if mark is None:
        return SECONDS["test"]
    return float(mark.args[0] if mark.args else mark.kwargs["timeout"])


def _told(report: pytest.TestReport, title: str, text: str) -> pytest.TestReport:
    if report.when == "call" or report.failed:
        report.sections.append((title, text))
    return report
