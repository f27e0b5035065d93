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
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ikelet import boards
from ikelet.errors import MisuseError

NAME = "bench.toml"
VARIABLE = "IKELET_BENCH"
WAYS = ("usb", "mac", "location", "url")
Rule = tuple[Callable[[Any], bool], str]


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


def _text(what: str) -> Rule:
    return lambda value: isinstance(value, str) and bool(value.strip()), what


def _choice(*choices: str) -> Rule:
    return lambda value: value in choices, f"one of {', '.join(choices)}"


def _whole(low: int, high: int) -> Rule:
    return lambda value: type(value) is int and low <= value <= high, f"{low} to {high}"


_MAC: Rule = (
    lambda value: isinstance(value, str) and len(plain_mac(value)) == 12,
    "a MAC address",
)
_NETWORK: dict[str, Rule] = {
    "host": _text("this machine's address as the boards reach it"),
    "bind": _text("the board's address"),
    "netmask": _text("the network's mask"),
    "gateway": _text("the router's address"),
    "ssid": _text("the Wi-Fi's name"),
    "wifi_key_file": _text("a file with the Wi-Fi's key"),
}
_BOARD: dict[str, Rule] = {
    "type": _text("the name of a file in boards/, without .toml"),
    "usb": _text("the USB serial number"),
    "mac": _MAC,
    "location": _text('the USB port, such as "1-1.4"'),
    "url": _text("a device or a URL: socket://host:port, rfc2217://host:port"),
    "image": _text("MicroPython's image for the rung reflash; see `ikelet flash --help`"),
}
_POWER: dict[str, dict[str, Rule]] = {
    "uhubctl": {"hub": _text("the hub's location"), "port": _whole(1, 32)},
    "command": {"on": _text("a shell command"), "off": _text("a shell command")},
    "relay": {"url": _text("the relay's serial port"), "channel": _whole(1, 16)},
}


def _errors(raw: Mapping[str, Any]) -> Iterator[str]:
    for name in raw:
        if name not in ("board", "network"):
            yield f"{name} is unknown; use [network], [board.NAME]"
    yield from _of_table("network", raw.get("network", {}), _NETWORK)
    tables = raw.get("board", {})
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        yield "board has a table for each board: [board.NAME]"
        return
    seen: dict[str, str] = {}
    for name, table in tables.items():
        yield from _of_board(f"board.{name}", table)
        for way in WAYS:
            if way in table and seen.setdefault(f"{way} {table[way]}", name) != name:
                yield f"board.{name}.{way} is that of {seen[f'{way} {table[way]}']} too"


def _of_board(name: str, table: dict[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if key not in ("power", "network")}
    yield from _of_table(name, plain, _BOARD, ["type"])
    known = [board.name for board in boards.load_all().values()]
    if table["type"] not in known:
        near = difflib.get_close_matches(table["type"], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(known)}"
        yield f'{name}.type is "{table["type"]}"; {hint}'
    if not any(way in table for way in WAYS):
        yield f"{name} has nothing to find it by; give it {', '.join(WAYS[:-1])} or {WAYS[-1]}"
    yield from _of_table(f"{name}.network", table.get("network", {}), _NETWORK)
    power = table.get("power", {})
    if not isinstance(power, dict) or power:
        yield from _of_power(f"{name}.power", power)


def _of_power(name: str, power: Any) -> Iterator[str]:
    kind: Rule = _choice(*_POWER)
    own = _POWER.get(power.get("kind", ""), {}) if isinstance(power, dict) else {}
    yield from _of_table(name, power, {"kind": kind, **own}, ["kind", *own])


def _of_table(
    name: str, table: Any, rules: Mapping[str, Rule], needed: list[str] | None = None
) -> Iterator[str]:
    if not isinstance(table, dict):
        yield f"{name} is not a table; write [{name}]"
        return
    if "kind" in rules and "kind" in table and not rules["kind"][0](table["kind"]):
        yield f"{name}.kind is {json.dumps(table['kind'], default=str)}; it is {rules['kind'][1]}"
    for key in table:
        if key not in rules:
            near = difflib.get_close_matches(key, rules, n=1)
            hint = f"did you mean {near[0]}?" if near else f"use {', '.join(rules)}"
            yield f"{name}.{key} is unknown; {hint}"
    for key in needed or []:
        if key not in table:
            yield f"{name}.{key} is missing; it is {rules[key][1]}"
    for key, value in table.items():
        check, what = rules[key]
        if not check(value):
            yield f"{name}.{key} is {json.dumps(value, default=str)}; it is {what}"
