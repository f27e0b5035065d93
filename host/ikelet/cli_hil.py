"""The command `ikelet hil`: pytest, with the suites and the boards found for the user."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import click

from ikelet import boards, resources
from ikelet.errors import MisuseError

# Options of pytest and its plugins that take a file or a folder: no suites are meant.
_FILES = ("--bench", "--quarantine", "--evidence", "-c", "--rootdir", "--ignore", "--junit-xml")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENTS]")
def hil(arguments: Sequence[str]) -> int:
    """Run the suites on boards, each board in a process of its own.

    Without --board on every emulated board that this machine can carry; without a path, all
    suites. Everything is handed to pytest. Exit code 0: all passed; 1: not; 2: interrupted; 4: the
    arguments make no sense; 5: no test was chosen.

    \b
    Examples:
      ikelet hil                                   all suites, all emulated boards
      ikelet hil --board auto                      … all boards of bench.toml that are plugged in
      ikelet hil --board serial:A50285BI --board unix -k psk
      ikelet hil --board desk --wait 600           somebody else may have it for ten minutes
      ikelet hil --count 50 --seed -x              soak in random order, until it fails
      ikelet hil --quarantine-verify               what can leave quarantine
      ikelet hil --collect-only -q                 the tests, without touching a port

    \b
    Options (see `pytest --help` for all others):
      --board NAME         a name that `ikelet boards` lists or bench.toml gives;
                           serial:USB-SERIAL-OR-MAC; a URL; TYPE@URL; auto; may be given again
      --bench FILE         what is plugged in here; ./bench.toml
      --wait S             seconds to wait for a board that somebody else uses
      --count N            run everything so often
      --seed [N]           random order, the same on every board; the seed is printed
      --quarantine FILE    tests that are known to fail; hil/quarantine.toml
      --quarantine-verify  run those alone
      --evidence DIR       where what happened is kept; build/hil
      --live MODE          live, plain or off: what is shown while tests run
    """
    if importlib.util.find_spec("pytest") is None:
        raise MisuseError("the suites need pytest: pip install 'ikelet[hil]'")
    import pytest

    return int(pytest.main([*_boards(arguments), *_suites(arguments), *arguments]))


def _boards(arguments: Sequence[str]) -> list[str]:
    """Every emulated board that can be used, where the user named none."""
    if any(one == "--board" or one.startswith("--board=") for one in arguments):
        return []
    usable = [
        board.name
        for board in boards.load_all().values()
        if board.kind != "serial" and not boards.usable(board)
    ]
    if not usable:
        raise MisuseError("no board can be used here: `ikelet boards` says why")
    return [f"--board={name}" for name in usable]


def _suites(arguments: Sequence[str]) -> list[str]:
    """The suites, where the user named none."""
    for before, one in zip(["", *arguments], arguments, strict=False):
        if before not in _FILES and not one.startswith("-") and _is_path(one):
            return []
    suites = resources.root() / "hil"
    if not (suites / "ikelet_hil").is_dir():
        raise MisuseError("the suites come with the source tree: name their folder, `…/hil`")
    return [str(suites)]


def _is_path(argument: str) -> bool:
    return Path(argument.partition("::")[0]).exists()
