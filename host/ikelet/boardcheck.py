"""What a board file may say: every key, what it must be, and what fits together.

A rule is (check(value, chip) -> bool, what the value is); `chip` is the Chip of the file, None for
an emulated machine of another kind.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ikelet import tables
from ikelet.chips import CHIPS, EMULATED, Chip

KINDS = ("process", "qemu", "serial")
LINKS = ("udp", "uart")
ENGINES = ("mpi", "mbed", "software")
TABLES = ("emulator", "flash", "nic", "reset")
RESETS = ("dtr-rts", "usb", "manual")
RMII = (
    *("PHY_LAN8710", "PHY_LAN8720", "PHY_IP101", "PHY_RTL8201"),
    *("PHY_DP83848", "PHY_KSZ8041", "PHY_KSZ8081", "PHY_GENERIC"),
)
SPI = ("PHY_W5500", "PHY_DM9051", "PHY_KSZ8851SNL")

Check = Callable[[Any, Chip | None], bool]
Rule = tuple[Check, str]
_PINS = ("mdc", "mdio", "reset", "power", "ref_clk", "cs", "int", "sck", "mosi", "miso")


def _plain(rule: tables.Rule) -> Rule:
    """A rule that asks nothing of the chip."""
    check, what = rule
    return lambda value, _: check(value), what


def _text(what: str) -> Rule:
    return _plain(tables.text(what))


def _choice(*choices: str) -> Rule:
    return _plain(tables.choice(*choices))


def _whole(low: int, high: int, what: str) -> Rule:
    check, span = tables.whole(low, high)
    return _plain((check, f"{what}, {span}"))


def _fits_pin(value: Any, chip: Chip | None) -> bool:
    """Where no chip is known, its own key is told."""
    return chip is None or (type(value) is int and 0 <= value < chip.pins)


def _fits_engines(value: Any, _: Chip | None) -> bool:
    return isinstance(value, list) and bool(value) and all(name in ENGINES for name in value)


def _fits_images(value: Any, _: Chip | None) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and set(entry) == {"name", "url", "sha256"}
        and all(isinstance(text, str) for text in entry.values())
        and len(entry["sha256"]) == 64
        and set(entry["sha256"]) <= set("0123456789abcdef")
        for entry in value
    )


_PIN: Rule = (_fits_pin, "the number of one of the chip's GPIOs")
_BOOL: Rule = (lambda value, _: type(value) is bool, "true or false")

_BOARD: dict[str, Rule] = {
    "name": _text("the name of the file without .toml"),
    "title": _text("one line for people"),
    "kind": _choice(*KINDS),
    "runner": _text("the Python module that starts the board"),
    "chip": _choice(*CHIPS, *EMULATED),
    "port": _text("the X of firmware/agent/port_X.py"),
    "link": _choice(*LINKS),
    "engines": (_fits_engines, f"a list of {', '.join(ENGINES)}, the preferred one first"),
    "heap": _whole(1, 1 << 30, "the bytes of heap that MicroPython has"),
    "slowness": (
        lambda value, _: isinstance(value, float) and value >= 1.0,
        "a factor for the host's deadlines, 1.0 or more",
    ),
    "strap": _PIN,
    "watchdog_ms": _whole(10_000, 600_000, "milliseconds"),
    "autostart": _BOOL,
    "radio": _BOOL,
}
_OPTIONAL = ("slowness", "strap", "watchdog_ms", "autostart", "radio")

_TABLES: dict[str, dict[str, Rule]] = {
    "flash": {
        "offset": (
            lambda value, chip: type(value) is int and (chip is None or value == chip.offset),
            "where the chip's ROM looks for the image",
        ),
        "size": _whole(0x10_0000, 0x800_0000, "bytes"),
        "image": _text('a pattern of image names, such as "ESP32_GENERIC-*.bin"'),
        "images": (_fits_images, "a list of tables with name, url and sha256 (64 hex digits)"),
        "baud": _whole(9600, 3_000_000, "the speed of flashing in baud"),
    },
    "nic": {
        "kind": _choice("lan", "wlan"),
        "phy_type": _choice(*RMII, *SPI),
        "phy_addr": _whole(0, 31, "the PHY's address"),
        "ref_clk_mode": _choice("IN", "OUT"),
        "spi": (lambda value, _: isinstance(value, dict), "a table with id, sck, mosi and miso"),
        **dict.fromkeys(_PINS[:7], _PIN),
    },
    "nic.spi": {
        "id": _whole(1, 2, "the number of the SPI bus"),
        **dict.fromkeys(_PINS[7:], _PIN),
    },
    "reset": {"method": _choice(*RESETS)},
}

# What a board on a serial line must say.
_SERIAL = {"flash": ["offset", "size", "image"], "reset": ["method"]}


def first_error(raw: dict[str, Any], stem: str) -> str:
    """What is wrong with a board file, with the key named; "" for nothing."""
    return next(_errors(raw, stem), "")


def _errors(raw: dict[str, Any], stem: str) -> Iterator[str]:
    for name, table in raw.items():
        if name not in ("board", *TABLES):
            yield f"[{name}] is unknown; use [board], [{'], ['.join(TABLES)}]"
        elif not isinstance(table, dict):
            yield f"{name} is not a table; write [{name}]"
    board = raw.get("board", {})
    chip = CHIPS.get(str(board.get("chip")))
    yield from _of_table(
        "board", board, _BOARD, [key for key in _BOARD if key not in _OPTIONAL], chip
    )
    if board["name"] != stem:
        yield f'board.name is "{board["name"]}"; it is the name of the file: "{stem}"'
    if board["kind"] == "serial" and not board.get("radio", True):
        yield "board.radio is false; the chip's random numbers are good only with it: leave it out"
    for name in ("flash", "reset"):
        needed = _SERIAL[name] if board["kind"] == "serial" else []
        if needed and name not in raw:
            yield f"[{name}] is missing; it has {', '.join(needed)}"
        yield from _of_table(name, raw.get(name, {}), _TABLES[name], needed, chip)
    if "nic" in raw:
        yield from _of_nic(raw["nic"], chip)
    if board["kind"] == "serial" and chip is None:
        yield f'board.chip is "{board["chip"]}"; a board on a serial line has one of the ESP32s'


def _of_nic(nic: dict[str, Any], chip: Chip | None) -> Iterator[str]:
    yield from _of_table("nic", nic, _TABLES["nic"], ["kind"], chip)
    if nic["kind"] == "wlan":
        for key in nic:
            if key != "kind":
                yield f'nic.{key} has no place beside kind = "wlan"'
        return
    over_spi = nic.get("phy_type") in SPI
    own = ["spi", "cs", "int"] if over_spi else ["mdc", "mdio"]
    yield from _of_table("nic", nic, _TABLES["nic"], ["phy_type", "phy_addr", *own], chip)
    if over_spi:
        keys = list(_TABLES["nic.spi"])
        yield from _of_table("nic.spi", nic["spi"], _TABLES["nic.spi"], keys, chip)
    elif chip is None or chip.name not in ("esp32", "esp32p4"):
        yield f"nic.phy_type is {nic['phy_type']}; this chip has no Ethernet: use {', '.join(SPI)}"
    used: dict[int, str] = {}
    for key, pin in {**nic, **nic.get("spi", {})}.items():
        if key in _PINS and used.setdefault(pin, key) != key:
            yield f"nic.{key} is GPIO {pin}, which is also nic.{used[pin]}"


def _of_table(
    name: str,
    table: dict[str, Any],
    rules: dict[str, Rule],
    needed: list[str],
    chip: Chip | None = None,
) -> Iterator[str]:
    """As tables.errors, with the rules applied to a chip."""

    def bound(check: Check) -> Callable[[Any], bool]:
        return lambda value: check(value, chip)

    ours = {key: (bound(check), what) for key, (check, what) in rules.items()}
    yield from tables.errors(name, table, ours, needed)
