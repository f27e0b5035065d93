"""Which tests run, how often, in which order, and how many boards side by side."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Sequence

import pytest

GROUPED = "ikelet_grouped"
ROUND = "soak_round"
_ANY = -1
_SEEDS = 1 << 32


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--count", type=int, default=1, metavar="N", help="run everything so often (soak)"
    )
    group.addoption(
        "--seed",
        type=int,
        nargs="?",
        const=_ANY,
        metavar="N",
        help="random order, the same on every board; the seed is printed, N repeats it",
    )


def seed(config: pytest.Config) -> int | None:
    """The seed of this run's order, made up where none is given; None for no random order."""
    given: int | None = config.option.seed
    return secrets.randbelow(_SEEDS) if given == _ANY else given


def one_worker_a_board(config: pytest.Config, boards: int) -> None:
    """With several boards: a pytest-xdist worker each, unless the user asked for something else.
    Before pytest-xdist looks at its options."""
    option = config.option
    if hasattr(config, "workerinput") or "PYTEST_XDIST_WORKER" in os.environ:
        # A worker: it must not have workers of its own. It reads the command line anew, and so
        # does not know that its tests are grouped.
        if getattr(config, "workerinput", {}).get(GROUPED):
            option.loadgroup = True
        return
    alone = option.usepdb or getattr(option, "numprocesses", 0) is not None or option.tx
    if boards > 1 and config.pluginmanager.has_plugin("xdist") and not alone:
        option.numprocesses = boards
        option.dist = "loadgroup"
        option.tx = ["popen"] * boards


def test_id(item: pytest.Item) -> str:
    """The test's id without its board and its round: the same on every board."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return item.nodeid
    taken = [callspec.params["board"]] if "board" in callspec.params else []
    taken += [_round_id(callspec.params[ROUND])] if ROUND in callspec.params else []
    rest = callspec.id
    for part in taken:
        rest = rest.removeprefix(part).removeprefix("-")
    plain = item.nodeid.partition(f"[{callspec.id}]")[0]
    return f"{plain}[{rest}]" if rest else plain


def repeat(metafunc: pytest.Metafunc) -> None:
    """--count: the test so often, its rounds told by their ids."""
    count = metafunc.config.getoption("--count")
    if count > 1:
        metafunc.fixturenames.append(ROUND)
        ids = [_round_id(number) for number in range(1, count + 1)]
        metafunc.parametrize(ROUND, range(1, count + 1), ids=ids, indirect=True)


def arrange(
    items: list[pytest.Item],
    board_of: Callable[[pytest.Item], str],
    names: Sequence[str],
    seed: int | None,
) -> None:
    """Board by board, round by round; with a seed in random order, file by file. Tests that need
    no board come last, as they stood: workers begin with the long ones."""
    order = {name: index for index, name in enumerate(names)}

    def key(item: pytest.Item) -> tuple[int, int, float, float]:
        name = board_of(item)
        if not name:
            return (len(order), 0, 0.0, 0.0)
        number = item.callspec.params.get(ROUND, 0)  # type: ignore[attr-defined]
        if seed is None:
            return (order[name], number, 0.0, 0.0)
        file = item.nodeid.partition("::")[0]
        return order[name], number, _shuffled(seed, number, file), _shuffled(seed, number, item)

    items.sort(key=key)


def _shuffled(seed: int, number: int, what: pytest.Item | str) -> float:
    name = what if isinstance(what, str) else test_id(what)
    return random.Random(f"{seed}/{number}/{name}").random()


def _round_id(number: int) -> str:
    return f"round{number}"
