"""The recovery ladder: what is tried to get a board back, gentlest first.

A rung acts, then the board is probed: does MicroPython answer? The first rung after which it does
ends the climb. Each rung counts how often it was tried and how often it helped.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ikelet import flash, links, prompt, rehearsal
from ikelet.boards import Board
from ikelet.diagnosis import AgentError
from ikelet.errors import IkeletError
from ikelet.links import SerialLink
from ikelet.progress import Silent
from ikelet_hil import power
from ikelet_hil.power import Power

_PULSE = 0.1
_CONSOLE_RESET = b'\n{"jsonrpc":"2.0","method":"reset","params":{}}\n'
_PROBE = 30.0


class Patient(Protocol):
    """What a rung works on: a board that was acquired."""

    board: Board
    power: Power | None
    image: str | None


@dataclass(frozen=True)
class Rung:
    """`lacks` says why it cannot be tried on a board, "" where it can; `act` raises IkeletError
    where it does not work."""

    name: str
    lacks: Callable[[Patient], str]
    act: Callable[[Patient], None]


class DeadError(IkeletError):
    """No rung brought the board back."""


@dataclass
class Counter:
    """Of one rung."""

    tried: int = 0
    helped: int = 0


@dataclass
class Ladder:
    """`rungs` in the order in which they are tried; `counters` by their names."""

    rungs: tuple[Rung, ...]
    counters: dict[str, Counter] = field(default_factory=dict)

    def climb(
        self,
        patient: Patient,
        probe: Callable[[Patient], None],
        tell: Callable[..., None] = lambda *_, **__: None,
        first: str = "",
    ) -> str:
        """The name of the rung that helped. `first`: where to begin. DeadError with all that was
        tried. `tell` gets a line, and of a rung that was tried `recovery`, `ok` and `seconds`."""
        names = [rung.name for rung in self.rungs]
        failed = []
        for rung in self.rungs[names.index(first) if first in names else 0 :]:
            lacks = rung.lacks(patient)
            if lacks:
                tell(f"recovery: no {rung.name}: {lacks}")
                continue
            counter = self.counters.setdefault(rung.name, Counter())
            counter.tried += 1
            tell(f"recovery: {rung.name}")
            began = time.monotonic()
            try:
                rung.act(patient)
                probe(patient)
            except IkeletError as error:
                failed.append(f"{rung.name}: {error}")
                took = round(time.monotonic() - began, 3)
                said = f"recovery: {rung.name} did not help: {error}"
                tell(said, recovery=rung.name, ok=False, seconds=took)
                continue
            counter.helped += 1
            took = round(time.monotonic() - began, 3)
            tell(f"recovery: {rung.name} helped", recovery=rung.name, ok=True, seconds=took)
            return rung.name
        raise DeadError("; ".join(failed) or "nothing can be tried on it")


# -- rungs ----------------------------------------------------------------------------------------


def _over_wire(patient: Patient) -> str:
    return "" if patient.board.url else "the board is emulated"


def no_lines(patient: Patient) -> str:
    """Why no line of its port resets the board; "" where one does."""
    if why := _over_wire(patient):
        return why
    if patient.board.url.startswith("socket://"):
        return "no reset line goes over a socket"
    method = patient.board.tables.get("reset", {}).get("method")
    return "" if method in ("dtr-rts", "usb") else "the board has no reset line"


def _no_power(patient: Patient) -> str:
    return "" if patient.power else "its power is not switched; see [board.NAME.power]"


def no_flash(patient: Patient) -> str:
    """Why esptool cannot flash the board; "" where it can."""
    if patient.board.kind != "serial":
        return "it is no board that esptool flashes"
    return _over_wire(patient)


def _soft_reset(patient: Patient) -> None:
    link = links.open_link(patient.board.url)
    try:
        link.write(b"\r\x03" + _CONSOLE_RESET)
    finally:
        link.close()


@contextmanager
def _lines(patient: Patient) -> Iterator[SerialLink]:
    link = SerialLink(patient.board.url)
    try:
        yield link
    finally:
        link.close()


def _dtr_rts(patient: Patient) -> None:
    with _lines(patient) as link:
        link.lines(dtr=False, rts=True)
        time.sleep(_PULSE)
        link.lines(dtr=False, rts=False)


def _boot_enable(patient: Patient) -> None:
    """Into the ROM's download mode and out of it: a chip that wedged its UART comes back so."""
    with _lines(patient) as link:
        for dtr, rts in ((False, True), (True, False), (False, False), (False, True)):
            link.lines(dtr=dtr, rts=rts)
            time.sleep(_PULSE)
        link.lines(dtr=False, rts=False)


def _cycle(patient: Patient) -> None:
    assert patient.power is not None
    power.cycle(patient.power)


def _reflash(patient: Patient) -> None:
    flash.run(patient.board, patient.board.url, patient.image, False, Silent())


def _nothing(patient: Patient) -> None:
    """An emulated board is thrown away and made anew: by the probe itself."""


PLUGGED = (
    Rung("soft-reset", _over_wire, _soft_reset),
    Rung("dtr-rts", no_lines, _dtr_rts),
    Rung("boot-enable", no_lines, _boot_enable),
    Rung("power", _no_power, _cycle),
    Rung("reflash", no_flash, _reflash),
)
EMULATED = (Rung("restart", lambda _: "", _nothing),)


def ladder(board: Board) -> Ladder:
    """The ladder of a board, as it is held here."""
    return Ladder(PLUGGED if board.url else EMULATED)


def probe(patient: Patient) -> None:
    """Whether the board is of use: MicroPython answers at its prompt; an emulated one boots the
    agent that it is given. IkeletError."""
    board = patient.board
    if board.url:
        with prompt.prompt(board, board.url, _PROBE * board.slowness) as repl:
            repl.run("import sys\n")
        return
    with rehearsal.blank(board) as there:
        check_agent(board, there.status)


def check_agent(board: Board, said: dict[str, object]) -> None:
    """Whether an agent's `boot` or `status` tells the version and the board that it was given;
    AgentError with the code firmware."""
    found = f"{said.get('version')} on {said.get('board')}"
    wanted = f"{flash.agent_version()} on {board.name}"
    if found != wanted:
        raise AgentError(f"{board.name} answers as agent {found}, not {wanted}", "firmware")
