"""Which ESP32 emulator and which MicroPython image this machine has for a board."""

import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ikelet import image
from ikelet.boards import Board
from ikelet.errors import MisuseError
from ikelet.image import Image

_RELEASES = "https://github.com/espressif/qemu/releases"
_DOWNLOADS = "https://micropython.org/download/"


class MissingError(MisuseError):
    """The board cannot be emulated here; the message says what is missing and where it is."""


@dataclass(frozen=True)
class Machine:
    """An emulator and one of its machines. `wifi`: its model of the radio, "" where none is."""

    program: str
    machine: str
    wifi: str


def find(board: Board) -> Machine:
    """The emulator for a board; MissingError."""
    table = board.tables["emulator"]
    program = _program(table["program_variable"], table["program"])
    machines = [name for name in table["machines"] if name in _machines(program)]
    if not machines:
        raise MissingError(
            f"{program} emulates no {table['machines'][-1]}; {_how_to_get(board)}, and name it in "
            f"{table['program_variable']}"
        )
    for name in machines:
        if _has_nic(program, name, table["wifi"]):
            return Machine(program, name, table["wifi"])
    return Machine(program, machines[0], "")


def find_image(board: Board) -> Image:
    """The stock image for a board, checked; MissingError."""
    variable = board.tables["emulator"]["image_variable"]
    path = os.environ.get(variable)
    if not path:
        pattern = board.tables["flash"]["image"]
        raise MissingError(
            f"{variable} is not set; get {pattern} from {_DOWNLOADS}"
            f"{pattern.partition('-')[0]} and name the file in {variable}"
        )
    try:
        return image.load(board, Path(path))
    except image.ImageError as error:
        raise MissingError(f"{variable}: {error}") from error


def _program(variable: str, name: str) -> str:
    given = os.environ.get(variable)
    found = shutil.which(given or name)
    if found is None and given:
        raise MissingError(f"{variable}: {given} is no program")
    if found is None:
        raise MissingError(
            f"{name} is not on PATH; get Espressif's from {_RELEASES} and put it there, or name "
            f"it in {variable}"
        )
    return found


def _how_to_get(board: Board) -> str:
    return f"get Espressif's {board.tables['emulator']['program']} from {_RELEASES}"


@functools.cache
def _machines(program: str) -> frozenset[str]:
    """The names of the machines that a QEMU emulates."""
    lines = _run([program, "-M", "help"]).splitlines()
    return frozenset(line.split()[0] for line in lines[1:] if line.strip())


@functools.cache
def _has_nic(program: str, machine: str, model: str) -> bool:
    """Whether a machine has this NIC. QEMU only warns of one that it did not create."""
    command = [program, "-M", machine, "-S", "-display", "none", "-serial", "none"]
    command += ["-monitor", "none", "-qmp", "stdio", "-nic", f"user,model={model}"]
    said = _run(command, '{"execute":"qmp_capabilities"}{"execute":"quit"}')
    return '"return"' in said and "was not created" not in said


def _run(command: list[str], given: str = "") -> str:
    """What a program says on both outputs, whether it likes its arguments or not."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{command[0]} does not run: {error}") from error
    return done.stdout + done.stderr
