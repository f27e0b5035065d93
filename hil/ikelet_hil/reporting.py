"""The part of the plugin that keeps evidence of every test on a board, and reports of the run.

A run's folder is build/hil/DATE-RANDOM, and build/hil/latest points to the newest; in it is a
folder per test. What is made of the whole run is made of the result.json files in these, so it
does not matter which worker ran a test.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import secrets
import subprocess
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ikelet import __version__
from ikelet_hil.canary import Canary, Find
from ikelet_hil.evidence import Evidence
from ikelet_hil.timeline import Timeline

if TYPE_CHECKING:
    from ikelet_hil.station import Station

_EVIDENCE = pytest.StashKey[Evidence]()
_REPORTS = pytest.StashKey[list[pytest.TestReport]]()
_RUN = pytest.StashKey["Run"]()
_NAME_LENGTH = 100


class Run:
    """One run of the suites: where its folder is, and the key that must not be found in it."""

    def __init__(self, folder: Path, canary: Canary, commit: str) -> None:
        self.folder = folder
        self.canary = canary
        self.commit = commit
        self.finds: list[str] = []
        self.page: Path | None = None
        self.last: dict[str, Evidence] = {}

    @property
    def began(self) -> bool:
        """Whether any test left something."""
        return self.folder.is_dir()

    def for_workers(self) -> dict[str, str]:
        return {
            "folder": str(self.folder),
            "canary": self.canary.text,
            "commit": self.commit,
        }


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ikelet")
    group.addoption(
        "--evidence",
        metavar="FOLDER",
        default=None,
        help="where the folders of runs are made (default: build/hil below the root folder)",
    )


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", {}).get("ikelet_hil")
    if given:
        run = Run(Path(given["folder"]), Canary(given["canary"]), given["commit"])
    else:
        wanted = config.getoption("--evidence") or config.rootpath / "build" / "hil"
        base = config.invocation_params.dir / wanted
        name = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        run = Run(base / name, Canary(), _commit(config.rootpath))
    config.stash[_RUN] = run


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: what its workers are to know."""
    node.workerinput["ikelet_hil"] = node.config.stash[_RUN].for_workers()


# -- a test ---------------------------------------------------------------------------------------


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """What the test leaves behind."""
    found: Evidence = request.node.stash[_EVIDENCE]
    return found


@pytest.fixture
def timeline(evidence: Evidence) -> Timeline:
    """The test's timeline: timeline.add("harness", "what happens now")."""
    return evidence.timeline


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    board = board_of(item)
    if board is None:
        return
    run = item.config.stash[_RUN]
    test = test_of(_without_group(item), board)
    folder = _folder(run.folder / _plain(board), test)
    evidence = Evidence(folder, test, board, Canary(run.canary.text))
    if last := run.last.get(board):
        evidence.go_on_from(last)
    run.last[board] = item.stash[_EVIDENCE] = evidence
    item.stash[_REPORTS] = []
    if station := _station(item):
        station.timeline = evidence.timeline


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Only a test that did what it should is asked what it left in memory."""
    result = yield
    evidence = item.stash.get(_EVIDENCE, None)
    if evidence and (leaks := evidence.settle()):
        pytest.fail("\n".join(leaks), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Write everything down once the test's fixtures are gone."""
    try:
        result = yield
    finally:
        evidence = item.stash.get(_EVIDENCE, None)
        finds = evidence.write() if evidence else []
        if evidence:
            _add_properties(item, evidence)
    _fail_for(finds)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    evidence = item.stash.get(_EVIDENCE, None)
    if evidence:
        reports = item.stash[_REPORTS]
        reports.append(report)
        finds = evidence.find_in(_printed(report), f"what the test printed in its {report.when}")
        if report.when == "teardown":
            worker = os.environ.get("PYTEST_XDIST_WORKER", "")
            station = _station(item)
            phases = station.phases.totals() if station else {}
            told = _outcome(reports) | {"phases": phases, "worker": worker}
            if station and station.again and told["outcome"] == "passed":
                told |= {"outcome": "recovered", "reason": str(station.again)}
            finds += evidence.write_result(told)
        if finds:
            report.outcome = "failed"
            report.longrepr = "\n".join(map(str, finds))
    return report


def _station(item: pytest.Item) -> Station | None:
    """The harness's hold on the board of a test."""
    plugin: Any = item.config.pluginmanager.get_plugin("ikelet-boards")
    found: Station | None = plugin.station_of(item) if plugin else None
    return found


def board_of(item: pytest.Item) -> str | None:
    """The name of the board that a test runs on; None of a test without one."""
    spec = getattr(item, "callspec", None)
    board = spec.params.get("board") if spec else None
    return board if isinstance(board, str) else None


def _without_group(item: pytest.Item) -> str:
    """The test's id without what xdist adds to it."""
    group = item.get_closest_marker("xdist_group")
    return item.nodeid.removesuffix(f"@{group.args[0]}") if group and group.args else item.nodeid


def test_of(nodeid: str, board: str) -> str:
    """A test's id, the same for every board: without its board's name."""
    head, bracket, parameters = nodeid.partition("[")
    rest = parameters.removesuffix("]").replace(board, "", 1).strip("-")
    return f"{head}[{rest}]" if bracket and rest else head


test_of.__test__ = False  # type: ignore[attr-defined]  # its name is no test's


def _folder(base: Path, test: str) -> Path:
    """A new folder for a test; a second attempt gets one of its own."""
    head, _, parameters = test.partition("[")
    module, _, name = head.partition("::")
    words = f"{Path(module).stem}.{name}.{parameters.rstrip(']')}".strip(".")
    plain = _plain(words)
    if len(plain) > _NAME_LENGTH:
        plain = f"{plain[:_NAME_LENGTH]}~{zlib.crc32(words.encode()):08x}"
    attempt = 1
    folder = base / plain
    while folder.exists():
        attempt += 1
        folder = base / f"{plain}~{attempt}"
    return folder


def _plain(name: str) -> str:
    """Fit for the name of a folder everywhere."""
    return re.sub(r"[^A-Za-z0-9_.,=+-]+", "_", name)


def _outcome(reports: list[pytest.TestReport]) -> dict[str, Any]:
    """outcome, reason and durations from the reports of a test's phases."""
    outcome, reason = "passed", ""
    for report in reports:
        if report.failed:
            outcome, reason = "failed", _crash(report)
            break
        if report.skipped:
            outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"
            reason = getattr(report, "wasxfail", "") or _skip_reason(report)
    durations = {f"{report.when}": round(report.duration, 4) for report in reports}
    return {"outcome": outcome, "reason": reason, "durations": durations}


def _crash(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return f"{text}" if report.when == "call" else f"in {report.when}: {text}"


def _skip_reason(report: pytest.TestReport) -> str:
    where = report.longrepr
    text = where[2] if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")


def _printed(report: pytest.TestReport) -> str:
    return "\n".join([report.longreprtext, *(text for _, text in report.sections)])


def _fail_for(finds: list[Find]) -> None:
    if finds:
        pytest.fail("\n".join(map(str, finds)), pytrace=False)


def _add_properties(item: pytest.Item, evidence: Evidence) -> None:
    """Properties of the test case in pytest's JUnit file."""
    told: dict[str, Any] = {"board": evidence.board, "commit": item.config.stash[_RUN].commit}
    told |= {key: evidence.facts.get(key) for key in ("rung", "chip", "firmware", "image", "id")}
    told["evidence"] = str(evidence.folder)
    item.user_properties += [(key, value) for key, value in told.items() if value]


# -- the run --------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """After the others, whose files are looked through too, and before the summary."""
    result = yield
    run = session.config.stash[_RUN]
    if hasattr(session.config, "workerinput") or not run.began:
        return result
    _describe(run, session)
    from ikelet_hil import page  # only a run of the suites needs what it imports

    run.page = page.build(run.folder)
    run.finds = [str(find) for find in run.canary.find_below(run.folder)]
    junit = getattr(session.config.option, "xmlpath", None)
    if junit and Path(junit).is_file():
        run.finds += map(str, run.canary.find_in(Path(junit).read_bytes(), junit))
    if run.finds:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return result


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    run = config.stash[_RUN]
    for find in run.finds:
        terminalreporter.write_line(f"SECRET LEAKED: {find}", red=True, bold=True)
    if run.page:
        terminalreporter.write_line(f"report: {run.page.as_uri()}", bold=True)


def _describe(run: Run, session: pytest.Session) -> None:
    """run.json, and the link to the newest run."""
    described = {
        "format": 1,
        "run": run.folder.name,
        "commit": run.commit,
        "version": __version__,
        "exit": int(session.exitstatus),
        "interrupted": session.exitstatus == pytest.ExitCode.INTERRUPTED,
        "arguments": list(session.config.invocation_params.args),
    }
    (run.folder / "run.json").write_text(json.dumps(described, indent=1) + "\n")
    new = run.folder.with_name(f".latest-{run.folder.name}")
    new.symlink_to(run.folder.name)
    new.replace(run.folder.with_name("latest"))


def _commit(root: Path) -> str:
    """The project's commit, with a + where files differ from it; its version without git."""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return __version__
    return done.stdout.strip() if done.returncode == 0 else __version__
