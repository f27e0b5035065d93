"""bench.toml: what is plugged in here, beside the board files that say what a board can do.

    [network]                     # how the boards reach this machine
    host = "192.168.7.1"
    ssid = "bench"                # for boards with Wi-Fi
    wifi_key_file = "wifi.key"    # beside this file

    [board.desk]                  # a name of one's own: --board desk
    type = "olimex-esp32-poe"     # a file in boards/
    usb = "A50285BI"              # its USB serial number; or mac, location or url
    [board.desk.power]
    kind = "uhubctl"              # or "command" with on and off, or "relay" with url and channel
    hub = "1-1"
    port = 2

The file is the user's: no part of the repository, and changed by `boards --scan` alone.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ikelet import boards, tables
from ikelet.errors import MisuseError
from ikelet.tables import Rule

NAME = "bench.toml"
VARIABLE = "IKELET_BENCH"
WAYS = ("usb", "mac", "location", "url")


class BenchError(MisuseError):
    """bench.toml says what cannot be."""


@dataclass(frozen=True)
class Entry:
    """A board that is plugged in. One of `usb`, `mac`, `location` and `url` finds it."""

    name: str
    type: str
    usb: str = ""
    mac: str = ""
    location: str = ""
    url: str = ""
    image: str | None = None
    power: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What it is called by its lock: the same, however it was found."""
        way = next(way for way in WAYS if getattr(self, way))
        value = getattr(self, way)
        if way == "mac":
            return f"mac:{plain_mac(value)}"
        return value if way == "url" else f"{way}:{value}"


@dataclass(frozen=True)
class Bench:
    """What the file says; `path` None where there is none."""

    path: Path | None = None
    entries: dict[str, Entry] = field(default_factory=dict)

    def find(self, way: str, value: str) -> Entry | None:
        """The board with this USB serial number, MAC, place or URL."""
        for entry in self.entries.values():
            mine = getattr(entry, way)
            if mine and (mine == value or (way == "mac" and plain_mac(mine) == plain_mac(value))):
                return entry
        return None


def plain_mac(text: str) -> str:
    """A MAC however it is written, as 12 hex digits."""
    return re.sub(r"[^0-9a-f]", "", text.lower())


def locate(named: str | Path | None = None, folder: Path | None = None) -> Path | None:
    """The file: `named`, IKELET_BENCH, or bench.toml in `folder`; None where there is none."""
    given = named or os.environ.get(VARIABLE)
    if given:
        if not Path(given).is_file():
            raise BenchError(f"there is no file {given}")
        return Path(given)
    found = (folder or Path.cwd()) / NAME
    return found if found.is_file() else None


def load(path: Path | None) -> Bench:
    """Read and check a bench file; BenchError names the file, the key and what would do."""
    if path is None:
        return Bench()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BenchError(f"{path}: {error}") from error
    wrong = next(_errors(raw), "")
    if wrong:
        raise BenchError(f"{path}: {wrong}")
    shared = raw.get("network", {})
    entries = {}
    for name, table in raw.get("board", {}).items():
        network = _with_key(path, shared | table.get("network", {}))
        entries[name] = Entry(name, **(table | {"network": network}))
    return Bench(path, entries)


def _with_key(path: Path, network: dict[str, Any]) -> dict[str, Any]:
    """The Wi-Fi key's file read: it is named beside the bench file."""
    found = dict(network)
    file = found.pop("wifi_key_file", None)
    if file is not None:
        try:
            text = (path.parent / Path(file).expanduser()).read_text(encoding="utf-8")
        except OSError as error:
            raise BenchError(f"{path}: network.wifi_key_file: {file}: {error.strerror}") from error
        found["wifi_key"] = text.strip()
    return found


_MAC: Rule = (
    lambda value: isinstance(value, str) and len(plain_mac(value)) == 12,
    "a MAC address",
)
_NETWORK: dict[str, Rule] = {
    "host": tables.text("this machine's address as the boards reach it"),
    "bind": tables.text("the board's address"),
    "netmask": tables.text("the network's mask"),
    "gateway": tables.text("the router's address"),
    "ssid": tables.text("the Wi-Fi's name"),
    "wifi_key_file": tables.text("a file with the Wi-Fi's key"),
}
_BOARD: dict[str, Rule] = {
    "type": tables.text("the name of a file in boards/, without .toml"),
    "usb": tables.text("the USB serial number"),
    "mac": _MAC,
    "location": tables.text('the USB port, such as "1-1.4"'),
    "url": tables.text("a device or a URL: socket://host:port, rfc2217://host:port"),
    "image": tables.text("MicroPython's image for the rung reflash; see `ikelet flash --help`"),
}
_POWER: dict[str, dict[str, Rule]] = {
    "uhubctl": {"hub": tables.text("the hub's location"), "port": tables.whole(1, 32)},
    "command": {"on": tables.text("a shell command"), "off": tables.text("a shell command")},
    "relay": {"url": tables.text("the relay's serial port"), "channel": tables.whole(1, 16)},
}


def _errors(raw: Mapping[str, Any]) -> Iterator[str]:
    for name in raw:
        if name not in ("board", "network"):
            yield f"{name} is unknown; use [network], [board.NAME]"
    yield from tables.errors("network", raw.get("network", {}), _NETWORK)
    entries = raw.get("board", {})
    if not isinstance(entries, dict) or not all(isinstance(one, dict) for one in entries.values()):
        yield "board has a table for each board: [board.NAME]"
        return
    seen: dict[str, str] = {}
    for name, table in entries.items():
        yield from _of_board(f"board.{name}", table)
        for way in WAYS:
            if way in table and seen.setdefault(f"{way} {table[way]}", name) != name:
                yield f"board.{name}.{way} is that of {seen[f'{way} {table[way]}']} too"


def _of_board(name: str, table: dict[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if key not in ("power", "network")}
    yield from tables.errors(name, plain, _BOARD, ["type"])
    known = [board.name for board in boards.load_all().values()]
    if table["type"] not in known:
        near = difflib.get_close_matches(table["type"], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(known)}"
        yield f'{name}.type is "{table["type"]}"; {hint}'
    if not any(way in table for way in WAYS):
        yield f"{name} has nothing to find it by; give it {', '.join(WAYS[:-1])} or {WAYS[-1]}"
    yield from tables.errors(f"{name}.network", table.get("network", {}), _NETWORK)
    power = table.get("power", {})
    if not isinstance(power, dict) or power:
        yield from _of_power(f"{name}.power", power)


def _of_power(name: str, power: Any) -> Iterator[str]:
    kind = tables.choice(*_POWER)
    if isinstance(power, dict) and (found := power.get("kind")) not in (None, *_POWER):
        # Which other keys there may be, the kind says.
        yield from tables.errors(name, {"kind": found}, {"kind": kind})
    own = _POWER.get(power.get("kind", ""), {}) if isinstance(power, dict) else {}
    yield from tables.errors(name, power, {"kind": kind, **own}, ["kind", *own])
