"""The pytest plugin: the suites run on the boards that --board names, with the same test ids.

Without --board they run on every emulated board; one that this machine cannot carry is skipped by
name, or fails where IKELET_REQUIRE lists it. A board that is named must be there.
"""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ikelet import benchfile, boards
from ikelet.boards import Board
from ikelet.errors import IkeletError
from ikelet_hil import capabilities, progress, quarantine, scheduling, targets
from ikelet_hil.attempts import Attempts
from ikelet_hil.locks import Holder
from ikelet_hil.phases import Phase
from ikelet_hil.progress import Tell, Watch
from ikelet_hil.quarantine import Quarantine
from ikelet_hil.station import Station
from ikelet_hil.targets import Emulated, Target, Terms

if TYPE_CHECKING:
    from ikelet.agent import Agent
    from ikelet.peers import Peer
    from ikelet_hil.bench import Bench
    from ikelet_hil.evidence import Evidence
    from ikelet_hil.passage import Passage
    from ikelet_hil.phases import Phases
    from ikelet_hil.standing import StandingAgents
    from ikelet_hil.wire import Wire

pytest_plugins = ["ikelet_hil.reporting"]

_GROUP = "board-"  # of pytest-xdist: one worker a board
_MARKERS = (
    "requires(*capabilities): what the board must have: "
    + ", ".join(capabilities.BOARD)
    + "; accelerator:BITS",
    "negotiation(kind, role, **settings): of the fixtures agent, peer, wire: see Bench.start",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ikelet", "ikelet: hardware in the loop")
    group.addoption(
        "--board",
        action="append",
        metavar="NAME",
        help="a board to run on, may be given again: a name that `ikelet boards` lists or that "
        "bench.toml gives, serial:USB-SERIAL-OR-MAC, a URL, TYPE@URL, auto (all of bench.toml "
        "that are plugged in). Default: every emulated board",
    )
    group.addoption("--bench", metavar="FILE", help="what is plugged in here (./bench.toml)")
    group.addoption(
        "--wait",
        type=float,
        default=0.0,
        metavar="S",
        help="wait so long for a board that somebody else uses",
    )
    scheduling.add_options(group)
    group.addoption("--quarantine", metavar="FILE", help="tests known to fail: skipped, by name")
    group.addoption(
        "--quarantine-verify", action="store_true", help="run those alone that are in quarantine"
    )
    group.addoption(
        "--live",
        choices=["auto", "live", "plain", "off"],
        default="auto",
        help="what is shown while tests run: each board's state at the bottom, a line a test, or "
        "what pytest shows; by default, with --board, what suits the terminal",
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    # Before pytest-xdist looks at its options.
    scheduling.one_worker_a_board(config, len(_targets(config)) if _named(config) else 0)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    known = set(capabilities.MISSING) | set(capabilities.BOARD) | set(boards.load_all())
    unknown = capabilities.required() - known
    if unknown:
        names = ", ".join(sorted(unknown)), ", ".join(sorted(known))
        raise pytest.UsageError("IKELET_REQUIRE: unknown {}; known: {}".format(*names))
    config.pluginmanager.register(Boards(config), "ikelet-boards")


class Boards:
    """The boards of a run, in the process that runs their tests. `run` is the run's name."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        worker = getattr(config, "workerinput", {})
        self.run: str = worker.get("ikelet_run") or _run_name()
        self.seed: int | None = worker.get("ikelet_seed", scheduling.seed(config))
        self.named = _named(config)
        self.targets = _targets(config)
        self.quarantine = _quarantine(config)
        self.watch: Watch | None = None
        self.tell: Tell = lambda _: None
        if "ikelet_progress" in worker:
            self.tell = progress.teller(worker["ikelet_progress"])
        elif not worker and (way := progress.wanted(config)):
            names = [target.name for target in self.targets]
            self.watch = Watch(config, names, live=way == "live")
            self.tell = self.watch.progress.told
            config.pluginmanager.register(self.watch, "ikelet-watch")
        self.stations = {
            target.name: Station(target, self._terms(target.name)) for target in self.targets
        }
        attempts = Attempts(self.station_of, self._at)
        config.pluginmanager.register(attempts, "ikelet-attempts")

    def _terms(self, name: str) -> Terms:
        def waiting(holder: Holder | str | None) -> None:
            self.tell({"board": name, "phase": "acquire", "note": f"waiting for {holder}"})

        return Terms(self.run, self.config.getoption("--wait"), waiting)

    def _at(self, station: Station, item: pytest.Item, phase: Phase | None) -> None:
        """A test's phase changes."""
        state: dict[str, Any] = {
            "board": station.name,
            "test": item.nodeid.partition("@board-")[0],
        }
        if phase:
            state |= {"phase": phase.name, "allowed": max(phase.left, 0.0)}
        self.tell(state)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["ikelet_run"] = self.run
        node.workerinput["ikelet_seed"] = self.seed
        node.workerinput[scheduling.GROUPED] = self.config.option.dist == "loadgroup"
        if self.watch:
            node.workerinput["ikelet_progress"] = self.watch.port

    def pytest_report_header(self) -> list[str]:
        lines = []
        if self.named:
            lines.append(f"boards: {', '.join(self.stations)}")
        if self.seed is not None:
            lines.append(f"random order: --seed {self.seed}")
        lines += [
            f"quarantine: {entry.test} on {entry.board} has run out: it runs again "
            f"({entry.owner}: {entry.reason})"
            for entry in self.quarantine.expired
        ]
        return lines

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        found = metafunc._arg2fixturedefs.get("board")
        if not found or found[-1].baseid:  # none, or one of a conftest's own
            return
        # One worker a board: a slow one then does not hold up the others' tests.
        params = [
            pytest.param(name, marks=pytest.mark.xdist_group(_GROUP + name), id=name)
            for name in self.stations
        ]
        metafunc.parametrize("board", params, indirect=True, scope="session")
        scheduling.repeat(metafunc)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        def board_of(item: pytest.Item) -> str:
            station = self.station_of(item)
            return station.name if station else ""

        scheduling.arrange(items, board_of, list(self.stations), self.seed)
        covered = {
            item: self.quarantine.find(scheduling.test_id(item), board)
            for item in items
            if (board := board_of(item))
        }
        if self.quarantine.verify:
            out = [item for item in items if not covered.get(item)]
            items[:] = [item for item in items if covered.get(item)]
            config.hook.pytest_deselected(items=out)
            return
        for item, entry in covered.items():
            if entry:
                item.add_marker(pytest.mark.skip(reason=str(entry)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """With --quarantine-verify: what can be let out."""
        if self.quarantine.verify:
            for report in terminalreporter.stats.get("passed", []):
                terminalreporter.write_line(f"can leave quarantine: {report.nodeid}")

    def pytest_unconfigure(self) -> None:
        for station in self.stations.values():
            station.release()

    def station_of(self, item: pytest.Item) -> Station | None:
        """The station of a test; None where it needs no board, whatever its arguments' names."""
        for mark in item.iter_markers("xdist_group"):
            group = str(mark.args[0])
            if group.startswith(_GROUP):
                return self.stations.get(group.removeprefix(_GROUP))
        return None

    def require(self, target: Target) -> None:
        """Skip a test on an emulated board that nobody named and that cannot be used here."""
        if not self.named and isinstance(target, Emulated) and target.board:
            name = "micropython" if target.name == "unix" else target.name
            capabilities.require(name, boards.usable(target.board))


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest) -> Board:
    """The board under test, held by this run; a board that cannot be used here is a skip that
    says why, or an error where it was named."""
    plugin = _boards(request.config)
    station = plugin.stations[request.param]
    plugin.require(station.target)
    return station.acquire()


@pytest.fixture
def station(board: Board, request: pytest.FixtureRequest) -> Station:
    """The harness's hold on the board: start(config) gives an agent, held.power switches it."""
    del board
    found = _boards(request.config).station_of(request.node)
    assert found is not None
    wanted = [name for mark in request.node.iter_markers("requires") for name in mark.args]
    capabilities.require_of(found.held, *wanted)
    return found


@pytest.fixture(scope="session")
def standing() -> Iterator[StandingAgents]:
    """The agents that stay on from test to test."""
    from ikelet_hil.standing import StandingAgents

    with StandingAgents() as agents:
        yield agents


@pytest.fixture
def phases(station: Station) -> Phases:
    """The phases of the running test, with their deadlines."""
    return station.phases


@pytest.fixture
def bench(station: Station, standing: StandingAgents, evidence: Evidence) -> Iterator[Bench]:
    """The board, and the means to put a gateway opposite it."""
    from ikelet_hil.bench import Bench  # with scapy: other test suites shall not pay for it

    board, start = station.held.board, station.start
    with Bench(board, standing=standing, start=start, evidence=evidence) as bench:
        yield bench


@pytest.fixture
def negotiation(bench: Bench, request: pytest.FixtureRequest) -> Bench:
    """A bench whose agent and gateway are ready to begin, as the marker `negotiation` says;
    without one the agent is the initiator, and the gateway the built-in one."""
    mark = request.node.get_closest_marker("negotiation")
    kind, role = mark.args if mark else ("builtin", "initiator")
    if kind == "strongswan":
        for capability in ("strongswan", "netns"):
            capabilities.require(capability)
    bench.start(kind, role, **(mark.kwargs if mark else {}))
    return bench


@pytest.fixture
def agent(negotiation: Bench) -> Agent:
    """The agent on the board: agent.bring_up("gw", timeout), agent.call(method)."""
    return negotiation.agent


@pytest.fixture
def peer(negotiation: Bench) -> Peer:
    """The gateway opposite it: peer.wait(timeout), peer.delete(), peer.events."""
    return negotiation.peer


@pytest.fixture
def wire(negotiation: Bench) -> Wire:
    """The UDP path between them: wire.add(drop(At(2)))."""
    return negotiation.wire


@pytest.fixture
def capture(negotiation: Bench) -> list[Passage]:
    """What passed over the wire so far, datagram by datagram; it grows."""
    return negotiation.wire.passages


@pytest.fixture
def soak_round(request: pytest.FixtureRequest) -> int:
    """Which of --count rounds this is, from 1."""
    number: int = getattr(request, "param", 1)
    return number


def _named(config: pytest.Config) -> list[str]:
    return config.getoption("--board") or []


def _targets(config: pytest.Config) -> list[Target]:
    try:
        path = benchfile.locate(config.getoption("--bench")) or benchfile.locate(
            folder=config.rootpath
        )
        return targets.resolve(_named(config), benchfile.load(path)) or targets.emulated()
    except IkeletError as error:
        raise pytest.UsageError(str(error)) from None


def _quarantine(config: pytest.Config) -> Quarantine:
    try:
        path = quarantine.locate(config.getoption("--quarantine"), config.rootpath)
        entries = quarantine.load(path)
    except IkeletError as error:
        raise pytest.UsageError(str(error)) from None
    verify = config.getoption("--quarantine-verify")
    return Quarantine(entries, verify, datetime.date.today())


def _boards(config: pytest.Config) -> Boards:
    plugin = config.pluginmanager.get_plugin("ikelet-boards")
    assert isinstance(plugin, Boards)
    return plugin


def _run_name() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
