"""What --board names, and how it becomes a board that this run holds.

    unix, qemu-rv32, …        a board file: emulated, or the one of its type that is plugged in
    unix#2                    another one of an emulated board
    desk                      a [board.NAME] of bench.toml
    serial:A50285BI           by USB serial number or MAC
    /dev/ttyUSB0, socket://…  by URL; its type is in bench.toml, or asked from the board
    qemu-rv32@socket://…      by URL, with its type
    auto                      every board of bench.toml that is plugged in
    labgrid:PLACE             a place of a labgrid coordinator

Naming touches no port: a test is collected without the boards.
"""

import contextlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ikelet import benchfile, boards, ports, serialboard
from ikelet.benchfile import Bench, Entry
from ikelet.boards import Board, BoardError
from ikelet.device import Device
from ikelet.errors import IkeletError, MisuseError
from ikelet_hil import power
from ikelet_hil.locks import Holder, Lock
from ikelet_hil.power import Power

EMULATED = ("process", "qemu")
# Modules with a function target(name) -> Target, imported when the scheme is used.
SCHEMES = {"labgrid": "ikelet_hil.labgrid"}
_URLS = ("socket://", "rfc2217://", "/", "COM")


@dataclass(frozen=True)
class Terms:
    """How boards are acquired in this run: its name, how long to wait for a board that somebody
    else has, whom to tell who that is."""

    run: str
    wait: float = 0.0
    waiting: Callable[[Holder | str | None], None] = lambda _: None


@dataclass
class Held:
    """A board that this run has. `network`: what bench.toml says of it; `close` gives it back;
    `lost` tells why it is no longer this run's, "" while it is."""

    board: Board
    power: Power | None = None
    lock: Lock | None = None
    image: str | None = None
    network: dict[str, Any] = field(default_factory=dict)
    close: Callable[[], None] = lambda: None
    lost: Callable[[], str] = lambda: ""


class Target(Protocol):
    """A board by name. `name` stands in the test ids; `board` is what is known before it is
    acquired, None for nothing."""

    name: str
    board: Board | None

    def acquire(self, terms: Terms) -> Held:
        """Lock it, and find out what is not known yet; IkeletError."""


class Emulated:
    """A board that this machine emulates: everybody gets one of his own."""

    def __init__(self, name: str, board: Board) -> None:
        self.name = name
        self.board: Board | None = board

    def acquire(self, terms: Terms) -> Held:
        del terms
        assert self.board is not None
        why = boards.usable(self.board)
        if why:
            raise MisuseError(why)
        return Held(boards.fitted(self.board))


class Plugged:
    """A board at a port of this machine, or behind a URL."""

    def __init__(self, name: str, entry: Entry) -> None:
        """entry.type may be "": then the board is asked."""
        self.name = name
        self.entry = entry
        self.board: Board | None = boards.find(entry.type) if entry.type else None

    def acquire(self, terms: Terms) -> Held:
        entry = self.entry
        with contextlib.ExitStack() as undo:
            lock = Lock(entry.identity, terms.run, terms.wait, terms.waiting)
            undo.callback(lock.release)
            url = entry.url or ports.find(entry.usb, entry.mac, entry.location)
            ports.check(url)
            board = boards.plugged(self.board or asked(url), url)
            switch = power.make(entry.power)
            close = undo.pop_all().close
        return Held(board, switch, lock, entry.image, dict(entry.network), close)


def asked(url: str) -> Board:
    """Which board is behind a URL, by its agent's own word; IkeletError."""
    try:
        with Device(url) as device:
            told = str(device.status.get("board"))
    except IkeletError as error:
        raise MisuseError(
            f"{error}; say which type it is: --board TYPE@{url}, or in {benchfile.NAME}"
        ) from error
    return boards.find(told)


def resolve(names: Sequence[str], bench: Bench) -> list[Target]:
    """The targets that --board names, each once; MisuseError says what would do."""
    found: dict[str, Target] = {}
    for name in names:
        several = _plugged_in(bench) if name == "auto" else [_resolve(name, bench)]
        for target in several:
            found.setdefault(target.name, target)
    return list(found.values())


def emulated() -> list[Target]:
    """Every board that is emulated, whether this machine can or not."""
    return [
        Emulated(board.name, board)
        for board in boards.load_all().values()
        if board.kind in EMULATED
    ]


def _resolve(name: str, bench: Bench) -> Target:
    scheme, _, rest = name.partition(":")
    if scheme in SCHEMES:
        target: Target = importlib.import_module(SCHEMES[scheme]).target(name)
        return target
    if scheme == "serial":
        mac = rest if len(benchfile.plain_mac(rest)) == 12 else ""
        known = bench.find("usb", rest) or (bench.find("mac", rest) if mac else None)
        return Plugged(name, known or Entry(name, "", usb="" if mac else rest, mac=mac))
    kind, at, url = name.partition("@")
    if at:
        return Plugged(name, Entry(name, boards.find(kind).name, url=url))
    if name.startswith(_URLS):
        return Plugged(name, bench.find("url", name) or Entry(name, "", url=name))
    if name in bench.entries:
        return Plugged(name, bench.entries[name])
    return _by_type(name, bench)


def _by_type(name: str, bench: Bench) -> Target:
    plain, another, _ = name.partition("#")
    try:
        board = boards.find(plain)
    except BoardError as error:
        mine = ", ".join(bench.entries)
        raise BoardError(f"{error}; bench.toml has {mine}" if mine else str(error)) from None
    if board.kind in EMULATED:
        return Emulated(name, board)
    if another:
        raise MisuseError(f"{name}: only of emulated boards there is another one")
    plugged = [entry for entry in bench.entries.values() if entry.type == board.name]
    if len(plugged) > 1:
        mine = " or ".join(entry.name for entry in plugged)
        raise MisuseError(f"there are {len(plugged)} of {name}: say --board {mine}")
    if plugged:
        return Plugged(name, plugged[0])
    url = serialboard.where(board)
    if not url:
        raise MisuseError(
            f"where is {name}? Run `ikelet boards --scan`, or set {serialboard.variable(board)}"
        )
    return Plugged(name, Entry(name, board.name, url=url))


def _plugged_in(bench: Bench) -> list[Target]:
    here = []
    for entry in bench.entries.values():
        with contextlib.suppress(ports.PortError):
            if not entry.url:
                ports.find(entry.usb, entry.mac, entry.location)
            here.append(Plugged(entry.name, entry))
    if not here:
        where = bench.path or f"{benchfile.NAME}, which is not there"
        raise MisuseError(f"no board of {where} is plugged in: run `ikelet boards --scan`")
    return list[Target](here)
