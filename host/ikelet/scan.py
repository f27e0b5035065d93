"""`ikelet boards --scan`: which boards are plugged in, written into bench.toml.

A board is asked who it is: its agent tells, or else esptool tells the chip, of which the generic
board stands in until somebody writes the right name. What the file says already stays, comments
and all.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tomlkit
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from ikelet import benchfile, boards, esptool
from ikelet.benchfile import Bench
from ikelet.device import Device
from ikelet.errors import IkeletError

_ANSWER = 6.0
# Serial numbers that every chip of a series has: the port tells more.
_COMMON = ("", "0001", "0", "123456")
_HEADER = """\
The boards that are plugged in here; `ikelet boards --scan` adds to it and changes nothing.
host/ikelet/benchfile.py tells what may stand here: power switches, Wi-Fi, other URLs.\
"""


@dataclass(frozen=True)
class Found:
    """A port with a board behind it. `name` is its name in bench.toml; `type` "" where it did not
    tell; `way` and `value` find it again; `note` is for the user."""

    port: str
    name: str
    type: str
    way: str
    value: str
    note: str
    known: bool


def scan(path: Path, say: Callable[[str], None]) -> list[Found]:
    """Ask every USB serial port, and write the boards that are new to `path`. MisuseError where
    the file cannot be read."""
    bench = benchfile.load(path if path.is_file() else None)
    found = list(_found(bench, say))
    fresh = [one for one in found if not one.known and one.type]
    if fresh:
        merge(path, fresh)
    return found


def _found(bench: Bench, say: Callable[[str], None]) -> Iterator[Found]:
    taken = set(bench.entries)
    for port in sorted(list_ports.comports()):
        if port.vid is None:
            continue
        way, value = _way(port)
        entry = bench.find(way, value) or bench.find("mac", port.serial_number or "-")
        if entry:
            note = "in bench.toml already"
            yield Found(port.device, entry.name, entry.type, way, value, note, True)
            continue
        say(f"{port.device}: asking the board")
        kind, note = identify(port.device)
        name = _free(kind or "board", taken)
        taken.add(name)
        yield Found(port.device, name, kind, way, value, note, False)


def identify(url: str) -> tuple[str, str]:
    """(type, how it is known) of the board at a port; ("", why not)."""
    try:
        with Device(url, deadline=_ANSWER) as device:
            told = str(device.status.get("board"))
        return boards.find(told).name, f"its agent {device.status.get('version')} says so"
    except IkeletError as error:
        silent = str(error)
    try:
        chip = esptool.chip(url)
    except IkeletError as error:
        return "", f"{silent}; {error}"
    same = [board.name for board in boards.load_all().values() if board.chip == chip]
    generic = [name for name in same if "generic" in name] or same
    if not generic:
        return "", f"no board in boards/ has the chip {chip}"
    others = ", ".join(name for name in same if name != generic[0])
    return generic[0], f"by its chip alone; is it {others}?" if others else "by its chip"


def merge(path: Path, fresh: list[Found]) -> None:
    """Add boards to a bench file; what it says stays as it is."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    document = tomlkit.parse(text)
    if not text:
        for line in _HEADER.splitlines():
            document.add(tomlkit.comment(line))
    tables = document.get("board")
    if tables is None:
        tables = tomlkit.table(is_super_table=True)
        document.append("board", tables)
    for one in fresh:
        table = tomlkit.table()
        table.append("type", tomlkit.item(one.type).comment(one.note))
        table.append(one.way, one.value)
        tables.append(one.name, table)
    _write(path, tomlkit.dumps(document))
    benchfile.load(path)


def _write(path: Path, text: str) -> None:
    """All of it or nothing: the file is the user's."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.resolve().parent, delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    if path.exists():
        os.chmod(file.name, path.stat().st_mode & 0o777)
    os.replace(file.name, path.resolve())


def _way(port: ListPortInfo) -> tuple[str, str]:
    serial = port.serial_number or ""
    if serial in _COMMON and port.location:
        return "location", port.location
    return "usb", serial or port.device


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name}-{n}" for n in range(2, len(taken) + 3) if f"{name}-{n}" not in taken)
