"""The suites that run against any board: `pytest hil --board unix --board qemu-rv32`.

Without --board they run on every emulated board; one that this machine cannot carry is skipped by
name, or fails where IKELET_REQUIRE lists it.
"""

from collections.abc import Iterator

import pytest

from capabilities import require
from ikelet import boards
from ikelet.boards import Board
from ikelet_hil.bench import Bench

EMULATED = ("process", "qemu")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--board", action="append", metavar="NAME", help="a board to run on; may be given again"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "board" not in metafunc.fixturenames:
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
    require("micropython" if found.name == "unix" else found.name, boards.usable(found))
    return found


@pytest.fixture
def bench(board: Board) -> Iterator[Bench]:
    """The board, and the means to put a gateway opposite it."""
    with Bench(board) as bench:
        yield bench
