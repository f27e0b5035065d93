"""Board files: what each board is, read from boards/*.toml, and whether it can be used here."""

import difflib
import importlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from ikelet import resources
from ikelet.errors import MisuseError

KINDS = ("process", "qemu", "serial")
LINKS = ("udp", "uart")
ENGINES = ("mpi", "mbed", "software")
TABLES = ("emulator", "flash", "nic", "reset")


class BoardError(MisuseError):
    """A board file is wrong, or no board has this name."""


@dataclass(frozen=True)
class Board:
    """One board file. `heap` is in bytes; host deadlines are multiplied by `slowness`.

    `link` says how datagrams travel: by the board's own UDP sockets, or relayed over the UART.
    `tables` holds the tables that only the board's runner or flasher reads.
    """

    name: str
    title: str
    kind: str
    runner: str
    chip: str
    port: str
    link: str
    engines: list[str]
    heap: int
    slowness: float = 1.0
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def on_board(self) -> dict[str, Any]:
        """What the board itself is told of its file: the content of /board.json."""
        keys = ("name", "chip", "port", "link", "engines")
        return {key: getattr(self, key) for key in keys}


class Running(Protocol):
    """A board that was started. Also a context manager: stops on exit."""

    board: Board
    url: str

    def stop(self) -> None:
        """End it and leave nothing behind. May be called more than once."""

    def ended(self) -> str:
        """Why it no longer runs, as one line; "" while it does."""

    def __enter__(self) -> "Running": ...

    def __exit__(self, *exc: object) -> None: ...


class Runner(Protocol):
    """The module that a board file names as its `runner`."""

    def usable(self, board: Board) -> str:
        """Why the board cannot be used here and how to get what is missing; "" when it can."""

    def start(self, board: Board, files: Mapping[str, bytes]) -> Running:
        """Put `files` (path on the board -> content) on the board and start it."""


def load_all() -> dict[str, Board]:
    """Every board that has a file, by name."""
    return {path.stem: load(path) for path in sorted(resources.boards().glob("*.toml"))}


def find(name: str) -> Board:
    """The board called `name`; BoardError says which there are."""
    path = resources.boards() / f"{name}.toml"
    known = sorted(path.stem for path in resources.boards().glob("*.toml"))
    if name in known:
        return load(path)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    raise BoardError(f'no board is called "{name}"; {hint}')


def load(path: Path) -> Board:
    """Read one board file; BoardError names the file, the key and what would do."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BoardError(f"{path}: {error}") from error
    wrong = _first_error(raw, path.stem)
    if wrong:
        raise BoardError(f"{path}: {wrong}")
    tables = {name: table for name, table in raw.items() if name != "board"}
    return Board(**raw["board"], tables=tables)


def runner(board: Board) -> Runner:
    return cast(Runner, importlib.import_module(board.runner))


def usable(board: Board) -> str:
    """Why the board cannot be used here and how to get what is missing; "" when it can."""
    try:
        return runner(board).usable(board)
    except ModuleNotFoundError as error:
        return f"needs Python's module {error.name}, which this platform does not have"


def _first_error(raw: dict[str, Any], stem: str) -> str:
    for name, table in raw.items():
        if name not in ("board", *TABLES):
            return f"[{name}] is unknown; use [board], [{'], ['.join(TABLES)}]"
        if not isinstance(table, dict):
            return f"{name} is not a table; write [{name}]"
    board = raw.get("board", {})
    for key in board:
        if key not in _KEYS:
            return f"board.{key} is unknown; use {', '.join(_KEYS)}"
    for key, (wanted, what) in _KEYS.items():
        if key not in board and key != "slowness":
            return f"board.{key} is missing; it is {what}"
        if key in board and not _fits(board[key], wanted):
            return f"board.{key} is {json.dumps(board[key])}; it is {what}"
    if board["name"] != stem:
        return f'board.name is "{board["name"]}"; it is the name of the file: "{stem}"'
    return ""


_KEYS: dict[str, tuple[object, str]] = {
    "name": (str, "the name of the file without .toml"),
    "title": (str, "one line for people"),
    "kind": (KINDS, f"one of {', '.join(KINDS)}"),
    "runner": (str, "the Python module that starts the board"),
    "chip": (str, "the name of the chip, as firmware/hal/chips.py has it"),
    "port": (str, "the X of firmware/agent/port_X.py"),
    "link": (LINKS, f"one of {', '.join(LINKS)}"),
    "engines": ([ENGINES], f"a list of {', '.join(ENGINES)}, the preferred one first"),
    "heap": (int, "the bytes of heap that MicroPython has"),
    "slowness": (float, "a factor for the host's deadlines, 1.0 or more"),
}


def _fits(value: object, wanted: object) -> bool:
    if isinstance(wanted, tuple):
        return value in wanted
    if isinstance(wanted, list):
        return isinstance(value, list) and bool(value) and all(v in wanted[0] for v in value)
    if wanted is float:
        return isinstance(value, float) and value >= 1.0
    if wanted is int:
        return type(value) is int and value > 0
    return isinstance(value, str) and bool(value)
