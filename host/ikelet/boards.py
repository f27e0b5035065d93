"""Board files: what each board is, read from boards/*.toml, and whether it can be used here."""

import dataclasses
import difflib
import importlib
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from ikelet import boardcheck, resources
from ikelet.errors import MisuseError


class BoardError(MisuseError):
    """A board file is wrong, or no board has this name."""


@dataclass(frozen=True)
class Board:
    """One board file. `heap` is in bytes; host deadlines are multiplied by `slowness`.

    `link` says how datagrams travel: by the board's own UDP sockets, or relayed over the UART.
    `strap` is the GPIO that keeps the agent from starting while it is low at boot (the boot
    button), `autostart` whether initiators call by themselves, `watchdog_ms` how long the agent's
    loop may take, `radio` whether the chip's random numbers have noise of the radio's (an emulator
    may model none). `tables` holds [flash], [nic], [reset] and [emulator] as they are. `url` is no
    part of the file: where this one board is plugged in, if that is known.
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
    strap: int | None = None
    watchdog_ms: int | None = None
    autostart: bool = False
    radio: bool = True
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    url: str = ""

    @property
    def serial_room(self) -> int | None:
        """How many characters may be on their way to the board's agent at once: MicroPython's
        ESP32 port keeps 260 that nobody has read, and loses the others. None: any number."""
        return 250 if self.port == "select" and self.kind != "process" else None

    def on_board(self) -> dict[str, Any]:
        """What the board itself is told of its file: the content of /board.json."""
        keys = ("name", "chip", "port", "link", "engines", "strap", "watchdog_ms", "autostart")
        told = {key: getattr(self, key) for key in keys} | {"nic": self.tables.get("nic")}
        if not self.radio:
            told["radio"] = False
        return {key: value for key, value in told.items() if value is not None}


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


@runtime_checkable
class Restartable(Protocol):
    """A running board whose reset ends it."""

    def restart(self) -> None:
        """Start it anew with the flash as it is; `url` may have changed."""


@runtime_checkable
class PowerCycled(Protocol):
    """A running board whose power we have in hand."""

    def power_cycle(self) -> None:
        """Take it away and give it back; the flash is as it was then, `url` may have changed."""


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
    known = sorted(path.stem for path in resources.boards().glob("*.toml"))
    plain = name.lower().replace("_", "-")  # as MicroPython's own names: ESP32_GENERIC_C3
    if plain in known:
        return load(resources.boards() / f"{plain}.toml")
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    raise BoardError(f'no board is called "{name}"; {hint}')


def load(path: Path) -> Board:
    """Read one board file; BoardError names the file, the key and what would do."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BoardError(f"{path}: {error}") from error
    wrong = boardcheck.first_error(raw, path.stem)
    if wrong:
        raise BoardError(f"{path}: {wrong}")
    tables = {name: table for name, table in raw.items() if name != "board"}
    return Board(**raw["board"], tables=tables)


def runner(board: Board) -> Runner:
    return cast(Runner, importlib.import_module(board.runner))


def usable(board: Board) -> str:
    """Why the board cannot be used here and how to get what is missing; "" when it can."""
    if board.kind == "qemu" and not sys.platform.startswith("linux"):
        return "emulated on Linux only"
    try:
        return runner(board).usable(board)
    except ModuleNotFoundError as error:
        return f"needs Python's module {error.name}, which this platform does not have"


def plugged(board: Board, url: str) -> Board:
    """This one board, behind a port: it is at MicroPython's prompt or runs an agent, and the host
    puts its files there over the line, also where the board's file tells how to emulate it."""
    return dataclasses.replace(board, url=url, runner="ikelet.serialboard")


def in_its_terms(board: Board, settings: dict[str, Any]) -> dict[str, Any]:
    """A board's configuration as it has to be on the board itself: an emulated network may have
    addresses of its own."""
    translate = getattr(runner(board), "in_its_terms", None)
    return cast(dict[str, Any], translate(board, settings)) if translate else settings


def fitted(board: Board) -> Board:
    """The board as it is here: an emulator may lack what the board's file has."""
    fit = getattr(runner(board), "fitted", None)
    return cast(Board, fit(board)) if fit else board
