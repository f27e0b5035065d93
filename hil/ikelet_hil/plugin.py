"""The pytest plugin: the suites run on the boards that --board names, with the same test ids.

Without --board they run on every emulated board; one that this machine cannot carry is skipped by
name, or fails where IKELET_REQUIRE lists it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ikelet import boards
from ikelet.boards import Board
from ikelet_hil import capabilities

if TYPE_CHECKING:
    from ikelet_hil.bench import Bench
    from ikelet_hil.standing import StandingAgents

EMULATED = ("process", "qemu")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ikelet", "ikelet: hardware in the loop")
    group.addoption(
        "--board", action="append", metavar="NAME", help="a board to run on; may be given again"
    )


def pytest_configure() -> None:
    known = set(capabilities.MISSING) | set(boards.load_all())
    unknown = capabilities.required() - known
    if unknown:
        names = ", ".join(sorted(unknown)), ", ".join(sorted(known))
        raise pytest.UsageError("IKELET_REQUIRE: unknown {}; known: {}".format(*names))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = metafunc._arg2fixturedefs.get("board")
    if not found or found[-1].baseid:  # none, or one of a conftest's own
        return
    names = metafunc.config.getoption("--board") or [
        board.name for board in boards.load_all().values() if board.kind in EMULATED
    ]
    # One worker a board: a slow one then does not hold up the others' tests.
    params = [pytest.param(name, marks=pytest.mark.xdist_group(f"board-{name}")) for name in names]
    metafunc.parametrize("board", params, indirect=True, scope="session")


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest) -> Board:
    """The board under test; a board that cannot be used here is a skip that says why."""
    found = boards.find(request.param)
    lacks = boards.usable(found)
    capabilities.require("micropython" if found.name == "unix" else found.name, lacks)
    return found


@pytest.fixture(scope="session")
def standing() -> Iterator[StandingAgents]:
    """The agents that stay on from test to test."""
    from ikelet_hil.standing import StandingAgents

    with StandingAgents() as agents:
        yield agents


@pytest.fixture
def bench(board: Board, standing: StandingAgents) -> Iterator[Bench]:
    """The board, and the means to put a gateway opposite it."""
    from ikelet_hil.bench import Bench  # with scapy: other test suites shall not pay for it

    with Bench(board, standing=standing) as bench:
        yield bench
