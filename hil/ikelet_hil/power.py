"""Switches of a board's power: a USB hub's port, a relay, or a shell command of the user's."""

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ikelet import links
from ikelet.errors import IkeletError
from ikelet.links import LinkError

OFF = 2.0  # seconds: the capacitors of a board hold it up for one
_PATIENCE = 30.0


class PowerError(IkeletError):
    """The switch does not switch."""


class Power(Protocol):
    """A board's power."""

    def set(self, on: bool) -> None:
        """Switch it; PowerError."""


class Command:
    """Switched by a command each: a hub's, a laboratory supply's, a home automation's."""

    def __init__(self, on: list[str] | str, off: list[str] | str) -> None:
        """A text is the shell's, a list is not."""
        self._commands = {True: on, False: off}

    def set(self, on: bool) -> None:
        command = self._commands[on]
        shell = isinstance(command, str)
        shown = command if isinstance(command, str) else " ".join(command)
        try:
            done = subprocess.run(
                command, shell=shell, capture_output=True, text=True, timeout=_PATIENCE
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PowerError(f"{shown}: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise PowerError(f"{shown}: {said[-1] if said else f'exit code {done.returncode}'}")


class Uhubctl(Command):
    """A port of a USB hub that switches: https://github.com/mvp/uhubctl."""

    def __init__(self, hub: str, port: int) -> None:
        line = ["uhubctl", "-l", hub, "-p", str(port), "-a"]
        super().__init__([*line, "on"], [*line, "off"])


class Relay:
    """A channel of the common USB relays with a CH340 (LCUS-1 and its like): A0, channel, state
    and their sum, at 9600 baud or any."""

    def __init__(self, url: str, channel: int) -> None:
        self._url = url
        self._channel = channel

    def set(self, on: bool) -> None:
        frame = bytes([0xA0, self._channel, on])
        try:
            link = links.open_link(self._url)
            try:
                link.write(frame + bytes([sum(frame) & 0xFF]))
            finally:
                link.close()
        except LinkError as error:
            raise PowerError(f"relay: {error}") from error


class Told:
    """A switch that says what it does, as it does it: tell(text)."""

    def __init__(self, switch: Power, tell: Callable[[str], None]) -> None:
        self._switch = switch
        self._tell = tell

    def set(self, on: bool) -> None:
        self._switch.set(on)
        self._tell("power on" if on else "power off")


def make(table: Mapping[str, Any]) -> Power | None:
    """The switch that a checked [board.NAME.power] names; None for an empty table."""
    arguments = {key: value for key, value in table.items() if key != "kind"}
    match table.get("kind"):
        case "uhubctl":
            return Uhubctl(**arguments)
        case "command":
            return Command(**arguments)
        case "relay":
            return Relay(**arguments)
    return None


def cycle(power: Power) -> None:
    """Off for long enough, then on."""
    power.set(False)
    time.sleep(OFF)
    power.set(True)
